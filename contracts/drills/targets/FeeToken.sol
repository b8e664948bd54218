// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title FeeToken
/// @notice Drill target. ERC-20 that burns a fee of every transfer, so what arrives is less than what was sent. Anyone may mint.
contract FeeToken is ERC20 {
    /// @notice Fee in 1/10,000 of the amount.
    uint256 public immutable FEE_BPS;

    constructor(string memory name_, string memory symbol_, uint256 feeBps) ERC20(name_, symbol_) {
        require(feeBps <= 10_000, "fee");
        FEE_BPS = feeBps;
    }

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function _update(address from, address to, uint256 value) internal override {
        uint256 fee = from == address(0) || to == address(0) ? 0 : value * FEE_BPS / 10_000;
        if (fee != 0) super._update(from, address(0), fee);
        super._update(from, to, value - fee);
    }
}
