//! The page as Atlassian Statuspage v2 has it (developer.statuspage.io, status API).
//!
//! **Invariant:** a field that a foreign reader expects is there, empty if we have nothing for it.

use serde_json::{Value, json};

use super::{INCIDENTS_MAX, Incident, Page, Update, code, component_id};
use crate::{Phase, statements::Component};

pub(super) fn summary(page: &Page) -> Value {
    json!({
        "page": head(page),
        "components": all_components(page),
        "incidents": some_incidents(page, true),
        "scheduled_maintenances": [],
        "status": rollup(page),
    })
}

pub(super) fn status(page: &Page) -> Value {
    json!({ "page": head(page), "status": rollup(page) })
}

pub(super) fn components(page: &Page) -> Value {
    json!({ "page": head(page), "components": all_components(page) })
}

pub(super) fn incidents(page: &Page) -> Value {
    json!({ "page": head(page), "incidents": some_incidents(page, false) })
}

fn head(page: &Page) -> Value {
    json!({
        "id": page.id,
        "name": page.settings.name,
        "url": page.settings.url,
        "time_zone": "Etc/UTC",
        "updated_at": page.updated.to_string(),
    })
}

fn rollup(page: &Page) -> Value {
    let (indicator, description) = page.status();
    json!({ "indicator": indicator, "description": description })
}

fn all_components(page: &Page) -> Vec<Value> {
    page.components.iter().enumerate().map(|(index, it)| component(page, index, it)).collect()
}

fn component(page: &Page, index: usize, it: &Component) -> Value {
    json!({
        "id": component_id(&it.name),
        "name": it.name,
        "status": it.state.word(),
        "created_at": it.created.to_string(),
        "updated_at": it.updated.to_string(),
        "position": index + 1,
        "description": null,
        "showcase": true,
        "start_date": null,
        "group_id": null,
        "page_id": page.id,
        "group": false,
        "only_show_if_degraded": false,
    })
}

fn some_incidents(page: &Page, unresolved: bool) -> Vec<Value> {
    page.incidents
        .iter()
        .filter(|it| !unresolved || it.phase != Phase::Resolved)
        .take(INCIDENTS_MAX)
        .map(|it| incident(page, it))
        .collect()
}

fn incident(page: &Page, it: &Incident) -> Value {
    let components: Vec<Value> = page
        .components
        .iter()
        .enumerate()
        .filter(|(_, component)| it.components.contains(&component.name))
        .map(|(index, component)| self::component(page, index, component))
        .collect();
    let affected: Vec<Value> = it
        .components
        .iter()
        .map(|name| json!({ "code": component_id(name), "name": name }))
        .collect();
    let since = |phase| it.since(phase).map(|it| it.to_string());
    json!({
        "id": it.id,
        "name": it.name,
        "status": it.phase.status(),
        "created_at": it.created().to_string(),
        "started_at": it.created().to_string(),
        "updated_at": it.updated().to_string(),
        "monitoring_at": since(Phase::Recovering),
        "resolved_at": since(Phase::Resolved),
        "impact": it.impact.word(),
        "shortlink": page.link(it),
        "page_id": page.id,
        "incident_updates": it.updates.iter().map(|u| update(it, u, &affected)).collect::<Vec<_>>(),
        "components": components,
    })
}

fn update(incident: &Incident, it: &Update, affected: &[Value]) -> Value {
    let at = it.at.to_string();
    json!({
        "id": code("update", &[it.id.0.as_slice()]),
        "status": it.phase.status(),
        "body": text(it),
        "incident_id": incident.id,
        "created_at": at,
        "updated_at": at,
        "display_at": at,
        "affected_components": if affected.is_empty() { Value::Null } else { affected.into() },
        "deliver_notifications": true,
        "custom_tweet": null,
        "tweet_id": null,
    })
}

/// The text of an update, as feeds have it as well: what it corrects is said first.
pub(super) fn text(it: &Update) -> String {
    match it.corrects {
        Some(at) => {
            format!("Correction of what was said at {}.\n\n{}", crate::words::minute(at), it.body)
        }
        None => it.body.clone(),
    }
}
