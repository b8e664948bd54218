//! Readiness against a scripted network. The whole of it is proved on anvil in `anvil.rs`.

use crate::support::{CHAIN, NOW, Net, TARGET, relayers};
use alloy::primitives::keccak256;
use cofferdam_act::{Authorisations, FeePolicy, Readiness, prove};
use cofferdam_core::{
    AccountId, Stage,
    plan::{
        Action, ActionCall, Autonomy, BasisPoints, Budget, ContainmentFunction, DurationText, Rung,
        WeiText,
    },
};

fn action() -> Action {
    Action {
        id: "pause".into(),
        rung: Rung::PauseProtocol,
        contains: Vec::new(),
        call: ActionCall::Direct {
            target: AccountId { chain: CHAIN, address: TARGET },
            function: ContainmentFunction::Pause,
            relayer: "hot".into(),
        },
        autonomy: Autonomy::Act,
        stage: Stage::Provisional,
        stops: BasisPoints(1_000_000),
        threshold_ppb: None,
        success: BasisPoints(1_000_000),
        effect_blocks: 1,
        cost: Default::default(),
        budget: Budget::default(),
        fee_budget: WeiText(alloy::primitives::U256::from(10u128.pow(17))),
        fee_share: BasisPoints(1_000),
        valid_for: DurationText(600_000),
        irreversible: false,
        approvals: 1,
        quorum: Vec::new(),
        verify: Vec::new(),
    }
}

async fn proved(net: &Net) -> Readiness {
    let relayers: Vec<_> = relayers(2).iter().map(|it| it.address()).collect();
    prove(&action(), &Authorisations::default(), &relayers, net, FeePolicy::default(), NOW).await
}

#[tokio::test]
async fn an_action_that_simulates_to_its_effect_is_ready() {
    let net = Net::new();
    let told = proved(&net).await;
    assert!(told.ready, "{told:?}");
    assert!(told.because.is_empty());
    assert_eq!(told.on, Some(net.at(100)));
    assert!(told.proved.iter().any(|it| it.contains("2 of 2 relayers funded")), "{told:?}");
}

#[tokio::test]
async fn everything_missing_is_named() {
    let net = Net::new();
    net.with(|it| it.revert = Some(keccak256("NotPauser()")[..4].to_vec().into()));
    let told = proved(&net).await;
    assert!(!told.ready && told.because[0].contains("NotPauser()"), "{told:?}");
    net.with(|it| (it.revert, it.tells_after) = (None, false));
    let told = proved(&net).await;
    assert!(!told.ready && told.because[0].contains("cannot tell its effect"), "{told:?}");
    net.with(|it| (it.tells_after, it.paused) = (true, true));
    let told = proved(&net).await;
    assert!(!told.ready && told.because[0].contains("holds already"), "{told:?}");
    net.with(|it| (it.paused, it.base_fee) = (false, 900_000_000_000));
    let told = proved(&net).await;
    assert!(!told.ready && told.because[0].contains("wei"), "{told:?}");
    let none =
        prove(&action(), &Authorisations::default(), &[], net.as_ref(), FeePolicy::default(), NOW)
            .await;
    assert!(!none.ready && none.because[0].contains("no relayer"), "{none:?}");
}
