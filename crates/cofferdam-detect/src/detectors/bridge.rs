//! S10: a bridge paid a message that was never sent, or not as it was sent. The page beside this file says how and with which limits.

use std::collections::BTreeSet;

use alloy_primitives::{Address, keccak256};
use cofferdam_core::{ChainId, Class, Finding, Severity, Tx, plan::Entity};

use crate::{
    BuildCx, BuildError, Context, Detector, Entry, Interest, Meta, Need, Question,
    bridge::{self, BRIDGE, Backing, Crossing, End, Paid, Route, Sent, Settings},
    report::{About, Voice, group},
    watch::Wards,
};

pub(crate) static ENTRY: Entry = Entry {
    meta: Meta {
        id: BRIDGE,
        signal: "S10",
        summary: "a bridge paid what was never sent, or issued more than it locked",
        needs: &[Need::Logs, Need::Reads],
        docs: include_str!("bridge.md"),
    },
    build: |cx| Ok(Box::new(Bridge::new(cx)?)),
    schema: || schemars::schema_for!(Settings),
};

/// What it finds is found by the engine, which sees both chains; here the messages are read.
#[derive(Debug)]
struct Bridge {
    voice: Voice,
    wards: Wards,
    /// Whose bridge it is, where the account that pays belongs to nobody.
    owner: String,
    chain: ChainId,
    routes: Vec<Route>,
    backings: Vec<Backing>,
}

impl Bridge {
    fn new(cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let voice = Voice::new(BRIDGE, cx);
        let routes = bridge::of_rule(cx)?;
        let named = |it: &&Entity| cx.rule.entities.is_empty() || cx.rule.entities.contains(&it.id);
        let owner = cx.plan.entities.iter().find(named).map_or(String::new(), |it| it.id.clone());
        let backings = bridge::backing::of_rule(cx)?;
        if routes.is_empty() && backings.is_empty() {
            return Err(BuildError::Unusable {
                rule: cx.rule.id.clone(),
                what: "it has neither `routes` nor `backing`".into(),
                hint: "name the events of its messages, or what it issues against what it locks"
                    .into(),
            });
        }
        Ok(Self { voice, wards: Wards::new(cx), owner, chain: cx.chain, routes, backings })
    }

    /// The ends of routes on this chain.
    fn ends(&self) -> impl Iterator<Item = (&Route, bool)> {
        let ends = self.routes.iter().flat_map(|it| [(it, true), (it, false)]);
        ends.filter(|(route, sends)| {
            let chain = if *sends { route.origin } else { route.destination };
            chain == self.chain
        })
    }

    fn entity(&self, account: Address) -> &str {
        self.wards.of(account).map_or(&self.owner, |it| &it.id)
    }
}

impl Detector for Bridge {
    fn interests(&self) -> Vec<Interest> {
        let side = |(route, sends): (&Route, bool)| match sends {
            true => Interest::Account(route.sends.account),
            false => Interest::Account(route.pays.account),
        };
        let questions = self.backings.iter().flat_map(|it| it.questions(self.chain));
        let touched = questions.flat_map(|it| it.touched).map(Interest::Account);
        let interests: BTreeSet<Interest> = self.ends().map(side).chain(touched).collect();
        interests.into_iter().collect()
    }

    fn questions(&self) -> Vec<Question> {
        self.backings.iter().flat_map(|it| it.questions(self.chain)).collect()
    }

    /// A log that cannot be read is told of at once: its message would be missed.
    fn on_tx(&mut self, cx: &Context<'_>, tx: &Tx, out: &mut Vec<Finding>) {
        for (route, sends) in self.ends() {
            let side = if sends { &route.sends } else { &route.pays };
            let (_, faults) = side.messages(tx);
            if faults == 0 {
                continue;
            }
            let subject = side.account;
            let about = About { tx: Some(tx), entity: self.entity(subject), subject };
            let finding = self.voice.finding(cx, about, Severity::High, Class::Blind, "blind");
            let text = format!("{}: {faults} events do not have the declared shape", route.name);
            out.push(Finding { summary: text, llr_millinats: 0, ..finding });
            return;
        }
    }

    fn crossings(&self, cx: &Context<'_>, tx: &Tx) -> Vec<Crossing> {
        let mut out = Vec::new();
        let at = cx.observation.block.time;
        for (route, sends) in self.ends() {
            let side = if sends { &route.sends } else { &route.pays };
            for it in side.messages(tx).0 {
                let end = if sends {
                    End::Sent(Sent { what: it.what, at, tx: tx.hash })
                } else {
                    let subject = side.account;
                    let about = About { tx: Some(tx), entity: self.entity(subject), subject };
                    let (severity, class) = (Severity::Info, Class::Damage);
                    let finding = self.voice.finding(cx, about, severity, class, group::VALUE);
                    // One transaction may pay many messages of one contract.
                    let place = [tx.hash.as_slice(), it.key.as_slice(), &it.log.to_be_bytes()];
                    let place = keccak256(place.concat());
                    let id = Finding::id_of(self.chain, &finding.rule, place, subject);
                    let finding = Finding { id, ..finding };
                    End::Paid(Box::new(Paid { what: it.what, at, log: it.log, finding }))
                };
                out.push(Crossing { route: route.id.clone(), key: it.key, end });
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, B256, Bytes, Log, U256, keccak256};
    use cofferdam_core::{ChainId, Observation, Severity, Timestamp, plan::Plan};

    use crate::{
        BuildError, RuleSet,
        bridge::{Crossing, End, Known, Paid, Sent, Verdict, routes},
        fixture::parse,
    };

    const PLAN: &str = r#"
        version = 1
        name = "test"
        chains = [{ id = "eip155:1" }, { id = "eip155:2" }]
        [[entities]]
        id = "bridge"
        accounts = [
            "eip155:1:0x00000000000000000000000000000000000000aa",
            "eip155:2:0x00000000000000000000000000000000000000ba",
        ]
        assets = [{ token = "0x0000000000000000000000000000000000000070", symbol = "USD", decimals = 6, price = "1 usd" }]
        [[rules]]
        id = "r"
        detector = "bridge"
        [[rules.settings.routes]]
        name = "two to one"
        delay-min = "30m"
        delay-max = "2d"
        fee-max = "1 %"
        assets = [{ origin = "0x0000000000000000000000000000000000000080", destination = "0x0000000000000000000000000000000000000070", origin-decimals = 18, destination-decimals = 6 }]
        origin = { account = "eip155:2:0x00000000000000000000000000000000000000ba", event = "Sent(uint256 packed, address token, uint256 amount, address to)", key = ["packed & 0xffffffff"], asset = "token", amount = "amount", recipient = "to", only = { to = "0xdd" } }
        destination = { account = "eip155:1:0x00000000000000000000000000000000000000aa", event = "Paid(uint256 packed)", with = { account = "eip155:1:0x0000000000000000000000000000000000000070", event = "Transfer(address indexed from, address indexed to, uint256 amount)" }, key = ["packed >> 32"], asset = "0x0000000000000000000000000000000000000070", amount = "amount", recipient = "to" }
    "#;

    fn plan() -> Plan {
        toml::from_str(PLAN).expect("a plan")
    }

    fn log(account: u8, event: &str, topics: &[u64], words: &[U256]) -> Log {
        let mut all = vec![keccak256(event)];
        all.extend(topics.iter().map(|it| B256::from(U256::from(*it))));
        let data: Vec<u8> = words.iter().flat_map(|it| it.to_be_bytes::<32>()).collect();
        Log::new_unchecked(Address::with_last_byte(account), all, data.into())
    }

    fn block(chain: u64, secs: u64, logs: Vec<Log>) -> Observation {
        let mut it = parse("block 1\n tx 0xee -> 0xec").remove(0);
        (it.block.chain, it.block.time) = (ChainId(chain), Timestamp::from_secs(secs));
        it.txs[0].logs = logs;
        it
    }

    fn crossings(it: &Observation) -> Vec<Crossing> {
        RuleSet::build(&plan(), it.block.chain).expect("rules").crossings(it)
    }

    fn tokens(count: u64, decimals: u64) -> U256 {
        U256::from(count) * U256::from(10).pow(U256::from(decimals))
    }

    fn sent(number: u64, amount: u64, to: u64, secs: u64) -> Observation {
        let words = [number, 0x80, 0, to].map(U256::from);
        let words = [words[0], words[1], tokens(amount, 18), words[3]];
        let event = "Sent(uint256,address,uint256,address)";
        block(2, secs, vec![log(0xba, event, &[], &words)])
    }

    fn paid(number: u64, amount: U256, to: u64, secs: u64) -> Observation {
        let transfer = "Transfer(address,address,uint256)";
        let logs = vec![
            log(0x70, transfer, &[0xaa, to], &[amount]),
            log(0xaa, "Paid(uint256)", &[], &[U256::from(number << 32)]),
        ];
        block(1, secs, logs)
    }

    fn ends(sent: &Observation, paid: &Observation) -> (Sent, Paid) {
        let (mut sent, mut paid) = (crossings(sent), crossings(paid));
        let (Some(sent), Some(paid)) = (sent.pop(), paid.pop()) else { panic!("two ends") };
        assert_eq!((sent.key, &sent.route), (paid.key, &paid.route), "one message");
        match (sent.end, paid.end) {
            (End::Sent(sent), End::Paid(paid)) => (sent, *paid),
            other => panic!("{other:?}"),
        }
    }

    fn verdict(paid: &Paid, sent: Option<&Sent>, until: u64) -> Verdict {
        let known = Known { since: Some(Timestamp(0)), until: Some(Timestamp::from_secs(until)) };
        routes(&plan()).expect("routes")[0].judge(paid, sent, known, false)
    }

    #[test]
    fn a_payment_that_agrees_with_its_origin_is_silent() {
        for amount in [tokens(1_000, 6), tokens(990, 6)] {
            let (sent, paid) = ends(&sent(7, 1_000, 0xdd, 10_000), &paid(7, amount, 0xdd, 20_000));
            assert_eq!(verdict(&paid, Some(&sent), 20_000), Verdict::Fine);
        }
    }

    #[test]
    fn messages_for_elsewhere_are_none_and_a_companion_that_lacks_is_told() {
        assert_eq!(crossings(&sent(7, 1, 0xde, 0)), vec![]);
        let mut torn = paid(7, U256::ONE, 0xdd, 0);
        torn.txs[0].logs.remove(0);
        assert_eq!(crossings(&torn), vec![]);
        let mut rules = RuleSet::build(&plan(), ChainId(1)).expect("rules");
        let findings = rules.observe(&torn).findings;
        assert!(matches!(findings.as_slice(), [it] if it.is_blind()), "{findings:?}");
    }

    #[test]
    fn what_differs_is_said_with_what_it_costs() {
        let cases = [
            (tokens(51_000, 6), 0xdd, 20_000, Severity::Critical, "units more than was sent"),
            (tokens(1_001, 6), 0xdd, 20_000, Severity::High, "1000000 base units more"),
            (tokens(900, 6), 0xdd, 20_000, Severity::Medium, "base units were kept"),
            (tokens(1_000, 6), 0xde, 20_000, Severity::High, "another recipient"),
            (tokens(1_000, 6), 0xdd, 10_100, Severity::Medium, "paid 100 s after its origin"),
        ];
        for (amount, to, secs, severity, text) in cases {
            let (sent, paid) = ends(&sent(7, 1_000, 0xdd, 10_000), &paid(7, amount, to, secs));
            let Verdict::Wrong(it) = verdict(&paid, Some(&sent), secs) else { panic!("{text}") };
            assert!(it.summary.contains(text), "{}", it.summary);
            assert_eq!(it.severity, severity, "{}", it.summary);
        }
    }

    #[test]
    fn without_an_origin_nothing_is_said_until_the_origin_chain_was_seen_far_enough() {
        let (_, paid) = ends(&sent(7, 1, 0xdd, 0), &paid(7, tokens(60_000, 6), 0xdd, 1_000_000));
        let needed = 1_000_000 - 1_800 + 60;
        assert_eq!(verdict(&paid, None, needed - 1), Verdict::Unknown);
        let Verdict::Wrong(it) = verdict(&paid, None, needed) else { panic!("unmatched") };
        assert_eq!((it.severity, it.loss.to_string()), (Severity::Critical, "$60,000".into()));
        let route = &routes(&plan()).expect("routes")[0];
        let young = Known { since: Some(Timestamp::from_secs(900_000)), until: Some(paid.at) };
        assert_eq!(route.judge(&paid, None, young, false), Verdict::Unknown, "history too short");
        let again = route.judge(&paid, None, young, true);
        assert!(matches!(again, Verdict::Wrong(it) if it.summary.contains("paid again")));
    }

    #[test]
    fn a_route_that_cannot_work_says_why() {
        for (from, to, why) in [
            ("key = [\"packed >> 32\"]", "key = [\"nonce\"]", "no event has a parameter `nonce`"),
            ("key = [\"packed >> 32\"]", "key = [\"packed\", \"to\"]", "differ in length"),
            ("id = \"eip155:2\"", "id = \"eip155:3\"", "eip155:2 is not watched"),
            ("event = \"Paid(uint256 packed)\"", "event = \"Paid(uint7)\"", "is no event"),
        ] {
            let plan: Plan = toml::from_str(&PLAN.replace(from, to)).expect("a plan");
            let error = RuleSet::build(&plan, ChainId(1)).map(drop);
            let Err(BuildError::Unusable { what, .. }) = error else { panic!("{error:?}") };
            assert!(what.contains(why), "{what}");
        }
    }

    #[test]
    fn hostile_logs_never_panic() {
        let mut it = paid(7, U256::ONE, 0xdd, 0);
        let event = keccak256("Paid(uint256)");
        it.txs[0].logs[1] = Log::new_unchecked(
            Address::with_last_byte(0xaa),
            vec![event],
            Bytes::from(vec![1; 31]),
        );
        assert_eq!(crossings(&it), vec![]);
    }
}
