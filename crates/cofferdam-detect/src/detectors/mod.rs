//! The registry: closed, sorted, greppable. One more detector is one file, one page and one line.

mod address_poisoning;
mod armed_contract;
mod bad_debt;
mod bridge;
mod control_change;
mod copycat;
mod defence_health;
mod donation;
mod empty_market;
mod expression;
mod flash_loan;
mod forced_trade;
mod governance;
mod learned_guard;
mod oracle_price;
mod outflow;
mod pool_invariant;
mod private_order;
mod probing;
mod reentrancy;
mod rounding_loop;
mod safe_change;
mod safe_delegatecall;
mod share_price;
mod silent_change;
mod unauthorised_transfer;
mod unbacked_mint;
mod view_reentrancy;

use crate::Entry;

/// Every detector, sorted by name.
pub static DETECTORS: &[&Entry] = &[
    &address_poisoning::ENTRY,
    &armed_contract::ENTRY,
    &bad_debt::ENTRY,
    &bridge::ENTRY,
    &control_change::ENTRY,
    &copycat::ENTRY,
    &defence_health::ENTRY,
    &donation::ENTRY,
    &empty_market::ENTRY,
    &expression::ENTRY,
    &flash_loan::ENTRY,
    &forced_trade::ENTRY,
    &governance::ENTRY,
    &learned_guard::ENTRY,
    &oracle_price::ENTRY,
    &outflow::ENTRY,
    &pool_invariant::ENTRY,
    &private_order::ENTRY,
    &probing::ENTRY,
    &reentrancy::ENTRY,
    &rounding_loop::ENTRY,
    &safe_change::ENTRY,
    &safe_delegatecall::ENTRY,
    &share_price::ENTRY,
    &silent_change::ENTRY,
    &unauthorised_transfer::ENTRY,
    &unbacked_mint::ENTRY,
    &view_reentrancy::ENTRY,
];

#[cfg(test)]
mod tests {
    use super::DETECTORS;

    /// What a user's page says, in this order.
    const HEADINGS: [&str; 6] = [
        "## What it sees",
        "## Why it matters",
        "## False positives",
        "## Configuration",
        "## Response",
        "## Past incidents",
    ];

    #[test]
    fn the_registry_is_sorted_and_every_detector_has_its_page() {
        assert!(DETECTORS.is_sorted_by_key(|it| it.meta.id));
        for it in DETECTORS {
            let id = it.meta.id;
            assert!(!it.meta.summary.ends_with('.'), "{id}: the summary is one phrase");
            assert!(it.meta.docs.starts_with(&format!("# `{id}`")), "{id}: the page has its name");
            let places = HEADINGS.map(|heading| it.meta.docs.find(heading));
            assert!(places.iter().all(Option::is_some), "{id}: {HEADINGS:?}, found {places:?}");
            assert!(places.is_sorted(), "{id}: headings are in order");
        }
    }

    /// What is under each heading of a page, in their order; an empty text if the heading is not there.
    fn sections(page: &str) -> [&str; 6] {
        HEADINGS.map(|heading| {
            let body = page.split_once(heading).map_or("", |it| it.1);
            body.split_once("\n## ").map_or(body, |it| it.0).trim()
        })
    }

    #[test]
    fn every_reference_page_is_complete_and_names_incidents() {
        let folder =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/detectors");
        let mut pages = Vec::new();
        for it in std::fs::read_dir(&folder).expect("the reference pages") {
            let path = it.expect("a page").path();
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let page = std::fs::read_to_string(&path).expect("a readable page");
            let sections = sections(&page);
            for (heading, body) in HEADINGS.iter().zip(sections) {
                assert!(!body.is_empty(), "{name}: nothing under `{heading}`");
            }
            let year =
                |it: &&str| it.len() >= 4 && it[..4].parse::<u16>().is_ok_and(|it| it > 2015);
            let [.., incidents] = sections;
            let named = incidents.split(|it: char| !it.is_ascii_digit()).any(|it| year(&it));
            assert!(named, "{name}: no incident with its year in `{incidents}`");
            pages.push(name);
        }
        pages.sort();
        let known: Vec<&str> = DETECTORS.iter().map(|it| it.meta.id).collect();
        assert_eq!(pages, known, "a page for each detector, and no other");
    }

    #[test]
    fn every_detector_shows_what_it_finds_and_when_it_is_silent() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/detectors");
        for it in DETECTORS {
            let file = folder.join(it.meta.id.replace('-', "_")).with_extension("rs");
            let source = std::fs::read_to_string(&file).expect("one file per detector");
            assert!(source.contains("silent"), "{}: a silent case", it.meta.id);
            assert!(source.matches("#[test]").count() >= 2, "{}: a positive case", it.meta.id);
        }
    }

    #[test]
    fn every_setting_is_documented() {
        for it in DETECTORS {
            let schema = serde_json::to_value((it.schema)()).expect("a schema is JSON");
            assert_eq!(schema["additionalProperties"], false, "{}", it.meta.id);
            let none = serde_json::Map::new();
            for (key, value) in schema["properties"].as_object().unwrap_or(&none) {
                let described = value.get("description").is_some();
                assert!(described, "{}: say what `{key}` is", it.meta.id);
                assert!(
                    it.meta.docs.contains(key.as_str()),
                    "{}: `{key}` is on the page",
                    it.meta.id
                );
            }
        }
    }
}
