//! Where g3, g4 and the race happen: an anvil with many lending pools that can all be emptied the same
//! way, and the plan of somebody who protects them, each pool with a pause of its own.
//!
//! Built by the drills' own machinery from the contracts of drill D5, so that attack, detectors and
//! containment are the ones that the drills prove.

use std::{fmt::Write as _, path::Path, path::PathBuf, sync::Arc};

use alloy_primitives::{Address, B256, U256, hex, keccak256};
use cofferdam::{
    drill::{
        anvil::{AnvilProcess, AnvilWorld},
        defender::{Defender, Launch},
        stage::Stage,
        world::BLOCK_SECONDS,
    },
    runtime::now,
};
use cofferdam_act::{Authorisation, Bundle, LocalKey, Scope, Terms, bundle::TIME_MAX};
use cofferdam_core::{ChainId, Timestamp, secret::Secret};
use cofferdam_drill::{Scenario, keys, scenario::Step};
use serde_json::json;

use crate::Failure;

/// The chain id of anvil.
pub(crate) const CHAIN: ChainId = ChainId(31_337);
/// Seed of all addresses.
const SEED: u64 = 1;
/// Blocks that are dated between the stage's last block and now, so that later ones are not ahead.
const SPARE_BLOCKS: u64 = 60;
/// Orders count as far as they were doubted. A bench attacks more often within minutes than any protocol
/// in the window of its plan, and nobody closes the incidents.
const FALSE_ALARMS_MAX: u32 = 1_000;
/// Accounts that nobody meets, watched by the rules that only have to be there.
const STRANGERS: u64 = 100;

/// Which pools an arena has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pools {
    /// How many.
    pub(crate) count: usize,
    /// Whether each has an oracle pair of its own, so that one attack leaves the others possible.
    pub(crate) apart: bool,
}

/// A node with contracts, and the keys to everything.
pub(crate) struct Arena {
    pub(crate) node: Arc<AnvilProcess>,
    pub(crate) stage: Stage,
    scenario: Scenario,
    pools: Pools,
    folder: tempfile::TempDir,
    socket: PathBuf,
}

impl Arena {
    /// Starts anvil and sets the stage.
    pub(crate) async fn set(pools: Pools) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("node");
        let args = ["--ipc", socket.to_str().unwrap_or_default()];
        let scenario = Scenario::parse(&scenario(pools))?;
        let blocks = scenario.setup.len() as u64 + SPARE_BLOCKS;
        let genesis = Timestamp(now().0.saturating_sub(blocks * BLOCK_SECONDS * 1_000));
        let node = Arc::new(AnvilProcess::start_with(&packages(), genesis, &args).await?);
        let world = Box::new(AnvilWorld::connect(node.clone()).await?);
        let stage = Stage::set(world, &scenario, SEED, packages()).await?;
        Ok(Self { node, stage, scenario, pools, folder, socket })
    }

    /// The node's socket. Everybody who is measured uses it: anvil leaves Nagle's algorithm on at its TCP
    /// ports, which holds the second of two notices back for up to 40 ms.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// The attack on one pool, as a step of the stage.
    pub(crate) fn attack(pool: usize, apart: bool) -> Result<Step, Failure> {
        let oracle = if apart { format!("$oracle-pair-{pool}") } else { "$oracle-pair-0".into() };
        let text = format!(
            r#"from = "attacker"
               to = "attack"
               call = "attack(address,address,address,uint256)"
               args = ["$funding-pair", "{oracle}", "$pool-{pool}", "1_500_000e18"]
               may-revert = true"#
        );
        Ok(toml::from_str(&text)?)
    }

    /// The attack on one pool, sent to the node.
    pub(crate) async fn send_attack(&mut self, pool: usize) -> Result<B256, Failure> {
        let step = Self::attack(pool, self.pools.apart)?;
        Ok(self.stage.send(&step).await?.0)
    }

    /// Makes a block dated now, or a second after the last one if that is later. Returns its height.
    pub(crate) async fn mine(&self) -> Result<u64, Failure> {
        let last = self.node.ask("eth_getBlockByNumber", json!(["latest", false])).await?;
        let number = |it: &serde_json::Value| {
            let digits = it.as_str().and_then(|it| it.strip_prefix("0x"));
            digits.and_then(|it| u64::from_str_radix(it, 16).ok()).ok_or("not a number")
        };
        let time = (now().0 / 1_000).max(number(&last["timestamp"])? + 1);
        self.node.ask("evm_setNextBlockTimestamp", json!([time])).await?;
        self.node.ask("evm_mine", json!([])).await?;
        Ok(number(&self.node.ask("eth_blockNumber", json!([])).await?)?)
    }

    /// Whether a pool is paused at the head.
    pub(crate) async fn is_paused(&self, pool: usize) -> Result<bool, Failure> {
        let call = json!({ "to": self.address(&format!("pool-{pool}"))?, "data": "0x5c975abb" });
        let word = self.node.ask("eth_call", json!([call, "latest"])).await?;
        Ok(word.as_str().is_some_and(|it| it.ends_with('1')))
    }

    /// Address of a name of the stage.
    pub(crate) fn address(&self, name: &str) -> Result<Address, Failure> {
        Ok(self.stage.names.address(name)?)
    }

    /// Private key of an account of the stage.
    pub(crate) fn key(&self, name: &str) -> B256 {
        keys::private_key(&self.scenario.id, name, SEED)
    }

    /// The relayers that the program signs with.
    pub(crate) fn relayers(&self) -> Result<Vec<Address>, Failure> {
        (1..=RELAYERS).map(|it| self.address(&format!("relayer-{it}"))).collect()
    }

    /// Starts the program on a plan that protects the pools `from..to` with `rules` rules altogether.
    pub(crate) async fn defend(
        &self,
        pools: std::ops::Range<usize>,
        rules: usize,
        pending: bool,
    ) -> Result<Defender, Failure> {
        let name = format!("plan-{}-{}", pools.start, if pending { "pending" } else { "mined" });
        let folder = self.folder.path().join(name);
        self.lay_plan(&folder, pools, rules, pending).await?;
        let launch = Launch::new(&program()?, &folder, &self.scenario, SEED);
        let defence = Defender::start(&launch).await?;
        let height = self.mine().await?;
        defence.saw(height).await?;
        Ok(defence)
    }

    /// Containment calldata for each pool, as its authorisation allows: signed ahead of time.
    pub(crate) async fn authorisations(
        &self,
        pools: std::ops::Range<usize>,
    ) -> Result<Vec<Authorisation>, Failure> {
        let guardian = self.address("guardian")?;
        let secret = Secret::new(hex::encode(self.key("watch")));
        let key = LocalKey::from_hex(&secret).ok_or("the key is not on the curve")?;
        let mut out = Vec::new();
        for pool in pools {
            let action_id = keccak256(format!("pool-{pool}/pause"));
            let scope = Scope::Guardian { guardian, action_id, tier: 0, not_before: 0 };
            let terms = Terms { nonce: U256::from(pool), deadline: TIME_MAX, epoch: 0 };
            out.push(Authorisation::sign(CHAIN, scope, terms, &[&key]).await?);
        }
        Ok(out)
    }

    async fn lay_plan(
        &self,
        folder: &Path,
        pools: std::ops::Range<usize>,
        rules: usize,
        pending: bool,
    ) -> Result<(), Failure> {
        std::fs::create_dir_all(folder.join("auth"))?;
        let text = plan(pools.clone(), rules, pending, &format!("ipc:{}", self.socket.display()));
        let text = self.stage.names.fill(&text, CHAIN.0)?;
        std::fs::write(folder.join("plan.toml"), text)?;
        let bundle = Bundle::new(CHAIN, self.authorisations(pools).await?);
        bundle.write(&folder.join("auth/bundle.json"))?;
        Ok(())
    }
}

/// Relayers of the plan.
const RELAYERS: usize = 3;

/// Folder of the npm packages that anvil comes from.
pub(crate) fn packages() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts/node_modules")
}

/// The program, built beside the benchmarks.
fn program() -> Result<PathBuf, Failure> {
    let path = std::env::current_exe()?.with_file_name("cofferdam");
    if path.is_file() { Ok(path) } else { Err(format!("{} is not built", path.display()).into()) }
}

/// The stage as a drill would have it. Written by code because of the number of pools.
fn scenario(pools: Pools) -> String {
    let mut text = String::from(HEAD);
    let mut step = |line: String| _ = write!(text, "\n[[setup]]\n{line}\n");
    let call = |to: &str, call: &str, args: &str| {
        format!("from = \"governance\"\nto = \"{to}\"\ncall = \"{call}\"\nargs = [{args}]")
    };
    for pool in 0..pools.count {
        let pair = if pools.apart { pool } else { 0 };
        if pools.apart || pool == 0 {
            step(format!(
                "from = \"governance\"\ndeploy = \"DemoPair\"\nas = \"oracle-pair-{pair}\"\n\
                 call = \"(address,address)\"\nargs = [\"$coll\", \"$cash\"]"
            ));
            for token in ["coll", "cash"] {
                let args = format!("\"$oracle-pair-{pair}\", \"100_000e18\"");
                step(call(token, "mint(address,uint256)", &args));
            }
            step(call(&format!("oracle-pair-{pair}"), "mint(address)", "\"$governance\""));
        }
        step(format!(
            "from = \"governance\"\ndeploy = \"DemoLendingPool\"\nas = \"pool-{pool}\"\n\
             call = \"(address,address,address,address,address,uint256)\"\n\
             args = [\"$coll\", \"$cash\", \"$oracle-pair-{pair}\", \"$guardian\", \"$governance\", 604800]"
        ));
        let action = format!(
            "{{ id = \"pool-{pool}/pause\" }}, [\"$pool-{pool}\", 14400, 604800, 1, 2, 3, 3600, true, \
             100000, \"0xf3f449c7\", \"0x\", \"0x5c975abb\"]"
        );
        let set = "setAction(bytes32,(address,uint48,uint48,uint8,uint8,uint8,uint48,bool,uint32,bytes,bytes,bytes))";
        step(call("guardian", set, &action));
        let args = format!("\"$pool-{pool}\", \"1_000_000e18\"");
        step(call("cash", "mint(address,uint256)", &args));
    }
    text.push_str(TAIL);
    text
}

const HEAD: &str = r#"
id = "bench-arena"
title = "many spot-oracle pools"
class = "D5"

[accounts]
governance = 1000
watch = 0
relayer-1 = 1000
relayer-2 = 1000
relayer-3 = 1000
floor = 1000
viem = 1000
oracle = 1000
attacker = 1000
trader = 1000

[[setup]]
from = "governance"
deploy = "DemoToken"
as = "cash"
call = "(string,string,uint8)"
args = ["Bench Dollar", "BUSD", 18]

[[setup]]
from = "governance"
deploy = "DemoToken"
as = "coll"
call = "(string,string,uint8)"
args = ["Bench Coin", "BCN", 18]

[[setup]]
from = "governance"
deploy = "DemoToken"
as = "other"
call = "(string,string,uint8)"
args = ["Bench Other", "BOT", 18]

[[setup]]
from = "governance"
deploy = "EmergencyGuardian"
as = "guardian"
call = "(address)"
args = ["$governance"]

[[setup]]
from = "governance"
deploy = "DemoPair"
as = "funding-pair"
call = "(address,address)"
args = ["$other", "$cash"]

[[setup]]
from = "governance"
to = "guardian"
call = "setSigner(address,uint48)"
args = ["$watch", "281474976710655"]

[[setup]]
from = "governance"
to = "other"
call = "mint(address,uint256)"
args = ["$funding-pair", "2_000_000e18"]

[[setup]]
from = "governance"
to = "cash"
call = "mint(address,uint256)"
args = ["$funding-pair", "2_000_000e18"]

[[setup]]
from = "governance"
to = "funding-pair"
call = "mint(address)"
args = ["$governance"]

[[setup]]
from = "governance"
to = "cash"
call = "mint(address,uint256)"
args = ["$trader", "1_000_000e18"]

[[setup]]
from = "attacker"
deploy = "SpotOracleAttack"
as = "attack"
"#;

const TAIL: &str = r#"
[[variants]]
id = "public"
title = "seen in the pool"
public = true
blocks = []
[variants.expect]
detected = true
contained = true
saved-percent-min = 0

[[loss]]
token = "cash"
holders = ["pool-0"]
decimals = 18
price = 1
"#;

/// A plan that protects `pools`: two rules and a pause for each, and as many rules about accounts that
/// nobody meets as make `rules` altogether.
fn plan(pools: std::ops::Range<usize>, rules: usize, pending: bool, endpoint: &str) -> String {
    let mut text = format!(
        "version = 1\nname = \"Bench\"\n\n[decision]\nfalse-alarms-max = {FALSE_ALARMS_MAX}\n\n[[chains]]\nid = \"${{chain}}\"\nblock-time = \"1s\"\n\
         finality-blocks = 32\npending = {pending}\nendpoints = [\"{endpoint}\"]\n"
    );
    let mut add = |it: String| text.push_str(&it);
    for relayer in 1..=RELAYERS {
        add(format!(
            "\n[[relayers]]\nid = \"relayer-{relayer}\"\naccount = \"${{relayer-{relayer}}}\"\n\
             key = {{ from = \"env\", name = \"COFFERDAM_RELAYER_{relayer}\" }}\n"
        ));
    }
    let protected = pools.len();
    for pool in pools {
        add(entity(&format!("pool-{pool}"), &format!("${{pool-{pool}}}"), "automatic"));
        let id = keccak256(format!("pool-{pool}/pause"));
        add(format!(
            "\n[[actions]]\nid = \"pause-{pool}\"\nrung = \"pause-market\"\ncontains = [\"pool-{pool}\"]\n\
             autonomy = {{ level = \"act\" }}\nstage = \"pending\"\n\
             cost = {{ fixed = \"500 usd\", per-hour = \"100 usd\", duration = \"4h\" }}\n\
             [actions.call]\nvia = \"guardian\"\nguardian = \"${{guardian}}\"\naction-id = \"{id}\"\n\
             target = \"${{pool-{pool}}}\"\nauthorisations = \"auth\"\n"
        ));
    }
    let strangers = rules.saturating_sub(2 * protected);
    for number in 0..STRANGERS {
        let account = Address::from_word(keccak256(number.to_be_bytes()));
        add(format!(
            "\n[[entities]]\nid = \"stranger-{number}\"\naccounts = [\"eip155:{}:{account}\"]\n\
             [[entities.assets]]\ntoken = \"${{0x:cash}}\"\nsymbol = \"BUSD\"\ndecimals = 18\nprice = \"1 usd\"\n",
            CHAIN.0
        ));
    }
    for number in 0..strangers {
        let detector = ["outflow", "flash-loan", "reentrancy", "control-change"][number % 4];
        let entity = number as u64 % STRANGERS;
        add(format!(
            "\n[[rules]]\nid = \"stranger-{number}\"\ndetector = \"{detector}\"\nentities = [\"stranger-{entity}\"]\nmode = \"alert\"\n"
        ));
    }
    text
}

/// An entity with the rules that see it emptied.
fn entity(id: &str, account: &str, mode: &str) -> String {
    let asset = |token: &str, symbol: &str| {
        format!(
            "[[entities.assets]]\ntoken = \"${{0x:{token}}}\"\nsymbol = \"{symbol}\"\ndecimals = 18\nprice = \"1 usd\"\n"
        )
    };
    let rules = ["outflow", "flash-loan"].map(|detector| {
        format!("\n[[rules]]\nid = \"{detector}-{id}\"\ndetector = \"{detector}\"\nentities = [\"{id}\"]\nmode = \"{mode}\"\n")
    });
    format!(
        "\n[[entities]]\nid = \"{id}\"\naccounts = [\"{account}\"]\n{}{}{}",
        asset("cash", "BUSD"),
        asset("coll", "BCN"),
        rules.concat()
    )
}
