//! A plan with holes, and what the board says about it.
#![expect(clippy::expect_used, reason = "a test may panic")]

use alloy_primitives::{Address, B256};
use cofferdam_act::Authorisations;
use cofferdam_core::{
    BlockRef, Class, Finding, FindingId, Record, Severity, Stage, Timestamp, Usd, plan::Plan,
};

use super::{Board, Told, html, text};

const PLAN: &str = r#"
version = 1
name = "Example <protocol>"

[[chains]]
id = "eip155:1"
block-time = "12s"

[[entities]]
id = "vault"
accounts = [
  "eip155:1:0x1111111111111111111111111111111111111111",
  "eip155:1:0x1212121212121212121212121212121212121212",
  "eip155:10:0x1111111111111111111111111111111111111111",
]
[[entities.assets]]
token = "native"
symbol = "ETH"
decimals = 18
price = "2500 usd"

[[entities]]
id = "bridge"
accounts = ["eip155:1:0x3333333333333333333333333333333333333333"]

[[rules]]
id = "vault-outflow"
detector = "outflow"
entities = ["vault"]
mode = "automatic"

[[rules]]
id = "bridge-messages"
detector = "bridge"
entities = ["bridge"]
mode = "shadow"

[[actions]]
id = "pause-vault"
rung = "pause-market"
contains = ["vault"]
autonomy = { level = "veto", window = "2m" }
cost = { fixed = "5000 usd" }
[actions.call]
via = "direct"
target = "eip155:1:0x1111111111111111111111111111111111111111"
function = "pause"
relayer = "hot"

[[relayers]]
id = "hot"
account = "eip155:1:0x4444444444444444444444444444444444444444"
key = { from = "env", name = "HOT" }
"#;

fn change(at: Timestamp) -> Finding {
    let block = BlockRef {
        chain: "eip155:1".parse().expect("a chain"),
        number: 7,
        hash: B256::ZERO,
        parent: B256::ZERO,
        time: at,
    };
    Finding {
        id: FindingId(B256::repeat_byte(1)),
        detector: "safe-change".into(),
        rule: "safe".into(),
        entity: "vault".into(),
        severity: Severity::High,
        class: Class::Damage,
        stage: Stage::Final,
        block,
        tx: None,
        subject: Address::ZERO,
        actors: Vec::new(),
        llr_millinats: 0,
        group: "control".into(),
        loss: Usd::ZERO,
        summary: "the threshold is 2 now".into(),
        evidence: Vec::new(),
    }
}

fn board(told: &Told, now: Timestamp) -> Board {
    let plan: Plan = toml::from_str(PLAN).expect("a plan");
    Board::of(&plan, &Authorisations::default(), told, now)
}

#[test]
fn holes_are_named_before_warnings() {
    let now = Timestamp(1_795_651_200_000);
    let mut told = Told::default();
    let it = board(&told, now);
    assert!(it.has_holes());
    expect_test::expect_file!["snapshots/board.txt"].assert_eq(&text(&it));
    let page = html(&it);
    assert!(page.contains("Example &lt;protocol&gt;") && !page.contains("<protocol>"));
    assert!(page.contains("class=\"bad\">NEVER") && !page.contains("http://"));
    let lost = |ready| Record::Readiness {
        action: "pause-vault".into(),
        ready,
        because: if ready { Vec::new() } else { vec!["the role is gone".into()] },
    };
    told.live(now, &lost(false));
    let holes = |told: &Told, now| {
        let gaps = board(told, now).gaps;
        gaps.into_iter().map(|it| format!("{}: {}", it.about, it.what)).collect::<Vec<_>>()
    };
    let lost_line = "pause-vault: it would not work: the role is gone".to_owned();
    assert!(holes(&told, now).contains(&lost_line));
    told.live(now, &lost(true));
    assert!(!holes(&told, now).contains(&lost_line));
    let found = Record::Found { finding: change(now) };
    told.live(now, &found);
    let changed = format!("vault: who controls it changed at {now}: the threshold is 2 now");
    assert!(holes(&told, now).contains(&changed));
    assert!(!holes(&told, now.plus_ms(31 * 86_400_000)).contains(&changed));
    let later = now.plus_ms(2 * 86_400_000);
    let stale = format!("the journal: no authority was proved since {now}");
    assert!(holes(&told, later).contains(&stale) && !holes(&told, now).contains(&stale));
}
