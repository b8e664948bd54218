// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./FeeOnTransfer.sol";

/// A pool of a deflationary token that looks at what it holds.
contract OrdinaryTaxScene is Scene {
    Token public usd;
    TaxedToken public taxed = new TaxedToken();
    Pair public pair;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        _asset(address(taxed), "TAX", 18, 1e6);
        pair = new Pair(IERC20(address(taxed)), IERC20(address(usd)));
        taxed.mint(address(pair), 2_000_000e18);
        usd.mint(address(pair), 2_000_000e18);
        pair.mint(address(this));
        _protect(address(pair));
        _protect(address(taxed));
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 1_000_000e18, address(pair));
        _arm(taxed, users, 1_000_000e18, address(pair));
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 amount = _amount(dice, 20e18, 6_000e18);
        if (dice >> 200 & 7 == 0) return (address(taxed), 0, abi.encodeCall(Token.transfer, (address(uint160(dice)), amount / 20)));
        (uint112 r0, uint112 r1,) = pair.getReserves();
        return (address(pair), 0, abi.encodeCall(Pair.trade, (r0 < r1, amount, who)));
    }
}
