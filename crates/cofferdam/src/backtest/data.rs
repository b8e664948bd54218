//! What a folder holds, as strands.
//!
//! **Invariant:** layouts are told by names and columns, never guessed from content; what is left out is named.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use cofferdam_backtest::{Labels, StrandLine};
use cofferdam_columns::{Dataset, Folder};
use cofferdam_core::{ChainId, plan::Plan};
use cofferdam_observe::recorded::load_fork_index;

use super::{
    Failure,
    exploits::Exploit,
    mainnet::{self, Mainnet},
    ndjson::Lines,
    nomad,
    parity::{self, Parity},
    parquet::Columns,
    source::{Source, Strand},
};
use crate::replay::{ReplayError, cases, variation_names};

/// Milliseconds of a block where nobody says otherwise.
const BLOCK_MS: u64 = 12_000;

/// What is gone over.
pub(crate) struct Chosen {
    /// In order.
    pub(crate) strands: Vec<Strand>,
    /// What is known of transactions.
    pub(crate) labels: Labels,
    /// What was left out, and why.
    pub(crate) notes: Vec<String>,
}

/// The strands of `data`: under `plan`, or each under a generic plan of its own.
///
/// # Errors
/// If something cannot be read.
pub(crate) fn strands(
    data: &Path,
    plan: Option<&Plan>,
    seed: u64,
    variations: bool,
) -> Result<Chosen, Failure> {
    let mut it = Chosen { strands: Vec::new(), labels: labels(data)?, notes: Vec::new() };
    it.lines(data, plan)?;
    it.columns(data, plan)?;
    it.mainnet(data, plan)?;
    it.parity(data, plan)?;
    match plan {
        None => {
            it.exploits(data, seed, variations)?;
            let bridges = [data.to_owned(), data.join("bridge-nomad-ronin")];
            if let Some(folder) = bridges.iter().find(|it| it.join("nomad/bridge.json").is_file()) {
                let more = nomad::strands(folder, &mut it.labels)?;
                it.strands.extend(more);
            }
        }
        Some(_) => {
            for name in ["exploit-traces", "bridge-nomad-ronin"] {
                if data.join(name).is_dir() {
                    it.notes.push(format!(
                        "{name} is left out: it has plans of its own; run without --plan"
                    ));
                }
            }
        }
    }
    Ok(it)
}

fn labels(data: &Path) -> Result<Labels, Failure> {
    let path = data.join("labels.json");
    if !path.is_file() {
        return Ok(Labels::default());
    }
    let text = super::csv::text(&path)?;
    Ok(Labels::parse(&text)?)
}

/// The block time of a plan's chain, in milliseconds.
fn block_ms(plan: Option<&Plan>, chain: ChainId) -> u64 {
    let known = plan.and_then(|it| it.chains.iter().find(|it| it.id == chain));
    known.map_or(BLOCK_MS, |it| it.block_time.0)
}

fn strand(
    name: String,
    source: &str,
    (blocks, covers): (u64, u64),
    plan: Option<&Plan>,
    pieces: Box<dyn Source>,
) -> Strand {
    Strand {
        line: StrandLine { name, source: source.to_owned(), blocks, covers, suspect: false },
        plan: plan.cloned(),
        priced: BTreeMap::new(),
        source: pieces,
    }
}

impl Chosen {
    fn lines(&mut self, data: &Path, plan: Option<&Plan>) -> Result<(), Failure> {
        let mut files: Vec<PathBuf> = parity::files(data)?;
        let facts = data.join("facts");
        if facts.is_dir() {
            files.extend(parity::files(&facts)?);
        }
        let lines = |it: &PathBuf| {
            let name = it.file_name().and_then(|it| it.to_str()).unwrap_or_default();
            name.ends_with(".ndjson") || name.ends_with(".ndjson.zst")
        };
        files.retain(lines);
        for path in files {
            let name =
                path.file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
            let Some(plan) = plan else {
                self.notes
                    .push(format!("{name} is left out: it needs a plan; name one with --plan"));
                continue;
            };
            let lines = Lines::open(&path)?;
            let each = lines.blocks.saturating_mul(block_ms(Some(plan), lines.chain));
            let extent = (lines.blocks, lines.span.max(each));
            self.strands.push(strand(name, "NDJSON", extent, Some(plan), Box::new(lines)));
        }
        Ok(())
    }

    fn columns(&mut self, data: &Path, plan: Option<&Plan>) -> Result<(), Failure> {
        let bad = |it| ReplayError::new("Parquet files", it);
        let Some(folder) = Folder::open(data).map_err(bad)? else { return Ok(()) };
        let Some(plan) = plan else {
            self.notes.push(
                "the Parquet files are left out: they need a plan; name one with --plan".into(),
            );
            return Ok(());
        };
        let only = plan.chains.first().map_or(ChainId(1), |it| it.id);
        let chain = folder.chain().map_err(bad)?.unwrap_or(only);
        let blocks = folder.rows(Dataset::Blocks);
        let covers = blocks.saturating_mul(block_ms(Some(plan), chain));
        let pieces = Columns::new(Arc::new(folder), chain);
        self.strands.push(strand(
            "Parquet".into(),
            "cryo layout",
            (blocks, covers),
            Some(plan),
            Box::new(pieces),
        ));
        Ok(())
    }

    fn mainnet(&mut self, data: &Path, plan: Option<&Plan>) -> Result<(), Failure> {
        let places = [data.join("mainnet-blocks"), data.to_owned()];
        let Some(folder) = places.into_iter().find(|it| it.join("block_hashes.json").is_file())
        else {
            return Ok(());
        };
        let (blocks, rows) = mainnet::open(folder)?;
        let ms = block_ms(plan, ChainId(1));
        if plan.is_some() {
            let extent = (rows.len() as u64, rows.len() as u64 * ms);
            let pieces = Mainnet::new(blocks, rows, false);
            self.strands.push(strand(
                "mainnet blocks".into(),
                "mainnet-blocks",
                extent,
                plan,
                Box::new(pieces),
            ));
            return Ok(());
        }
        for row in rows {
            let name = format!("block {}", row.number);
            let pieces = Mainnet::new(Arc::clone(&blocks), vec![row], true);
            self.strands.push(strand(name, "mainnet-blocks", (1, ms), None, Box::new(pieces)));
        }
        Ok(())
    }

    fn parity(&mut self, data: &Path, plan: Option<&Plan>) -> Result<(), Failure> {
        let folder = data.join("mev-inspect-blocks/blocks");
        if !folder.is_dir() {
            return Ok(());
        }
        let files = parity::files(&folder)?;
        let ms = block_ms(plan, ChainId(1));
        if plan.is_some() {
            let extent = (files.len() as u64, files.len() as u64 * ms);
            let pieces = Parity::new(files, false);
            self.strands.push(strand(
                "odd blocks".into(),
                "mev-inspect-blocks",
                extent,
                plan,
                Box::new(pieces),
            ));
            return Ok(());
        }
        for file in files {
            let stem =
                file.file_name().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
            let name = format!("odd block {}", stem.split('.').next().unwrap_or_default());
            let pieces = Parity::new(vec![file], true);
            self.strands.push(strand(name, "mev-inspect-blocks", (1, ms), None, Box::new(pieces)));
        }
        Ok(())
    }

    fn exploits(&mut self, data: &Path, seed: u64, variations: bool) -> Result<(), Failure> {
        if !data.join("exploit-traces").is_dir() {
            return Ok(());
        }
        let index = load_fork_index(&data.join("exploit-fork-caches/index.csv"));
        let index = index.map_err(|it| ReplayError::new("exploit-fork-caches/index.csv", it))?;
        for case in cases()? {
            let row = index.iter().find(|it| it.case == case);
            let class = row.map_or_else(|| "bridge".to_owned(), |it| it.category.clone());
            let forms = std::iter::once(None)
                .chain((0..variation_names().len()).filter(|_| variations).map(Some));
            for variation in forms {
                let (data, case, class) = (data.to_owned(), case.clone(), class.clone());
                let it = Exploit { data, case, class, variation, seed };
                let name = it.name();
                self.strands.push(strand(name, "exploit recordings", (1, 0), None, Box::new(it)));
            }
        }
        Ok(())
    }
}
