// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// Settles many users' orders at once, out of their allowances: everybody who pays is paid.
contract Settlement {
    IERC20 public immutable coin;
    IERC20 public immutable usd;
    address public immutable solver;

    event Settled(uint256 orders);

    constructor(IERC20 coin_, IERC20 usd_, address solver_) {
        (coin, usd, solver) = (coin_, usd_, solver_);
    }

    /// Sellers and buyers of the same amount, at one to one less a thousandth for the house.
    function settle(address[] calldata sellers, address[] calldata buyers, uint256 amount) external {
        require(msg.sender == solver, "solver");
        for (uint256 i; i < sellers.length; i++) coin.transferFrom(sellers[i], address(this), amount);
        for (uint256 i; i < buyers.length; i++) usd.transferFrom(buyers[i], address(this), amount);
        for (uint256 i; i < sellers.length; i++) usd.transfer(sellers[i], amount * 999 / 1000);
        for (uint256 i; i < buyers.length; i++) coin.transfer(buyers[i], amount * 999 / 1000);
        emit Settled(sellers.length);
    }
}

contract OrdinarySettlementScene is Scene {
    Token public usd;
    Token public coin = new Token("COIN", 18);
    Settlement public settlement;
    address[] public clients;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        _asset(address(coin), "COIN", 18, 1e6);
        settlement = new Settlement(IERC20(address(coin)), IERC20(address(usd)), address(this));
        usd.mint(address(settlement), 500_000e18);
        coin.mint(address(settlement), 500_000e18);
        _protect(address(settlement));
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 1_000_000e18, address(settlement));
        _arm(coin, users, 1_000_000e18, address(settlement));
        for (uint256 i; i < 60; i++) clients.push(users[i]);
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        Token token = dice >> 200 & 1 == 0 ? usd : coin;
        address to = clients[dice % 60];
        uint256 amount = _amount(dice >> 20, 1e18, 900e18);
        uint256 held = token.balanceOf(who);
        return (address(token), 0, abi.encodeCall(Token.transfer, (to, amount < held / 50 ? amount : held / 50)));
    }

    function errand(uint256 dice) external view override returns (address, address, uint256, bytes memory) {
        uint256 n = 2 + dice % 6;
        address[] memory sellers = new address[](n);
        address[] memory buyers = new address[](n);
        for (uint256 i; i < n; i++) {
            sellers[i] = clients[(dice + i) % 30];
            buyers[i] = clients[30 + (dice + i) % 30];
        }
        if (dice >> 100 & 1 == 1) (sellers, buyers) = (buyers, sellers);
        uint256 amount = _amount(dice >> 20, 50e18, 9_000e18);
        return (address(this), address(settlement), 0, abi.encodeCall(Settlement.settle, (sellers, buyers, amount)));
    }
}
