// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {GuardedPausable} from "../../src/GuardedPausable.sol";

/// @title DemoVault
/// @notice Drill target (D2). A vault with the ERC-4626 interface that prices shares from its token balance and has NO virtual
/// shares, on purpose: donating to the nearly empty vault inflates the share price and rounds the next depositor down.
/// Deposits are entries, withdrawals are exits of {GuardedPausable}.
contract DemoVault is ERC20, GuardedPausable {
    using SafeERC20 for IERC20;

    address public immutable asset;
    address private immutable GUARDIAN;
    address private immutable GOVERNANCE;
    uint256 private immutable MAX_PAUSE;

    event Deposit(address indexed sender, address indexed owner, uint256 assets, uint256 shares);
    event Withdraw(
        address indexed sender, address indexed receiver, address indexed owner, uint256 assets, uint256 shares
    );

    error ZeroShares();

    constructor(address asset_, address guardian, address governance, uint256 maxPause) ERC20("Demo Vault", "dVLT") {
        asset = asset_;
        GUARDIAN = guardian;
        GOVERNANCE = governance;
        MAX_PAUSE = maxPause;
    }

    function deposit(uint256 assets, address receiver) external returns (uint256 shares) {
        shares = previewDeposit(assets);
        _enter(assets, shares, receiver);
    }

    function mint(uint256 shares, address receiver) external returns (uint256 assets) {
        assets = previewMint(shares);
        _enter(assets, shares, receiver);
    }

    function withdraw(uint256 assets, address receiver, address owner) external returns (uint256 shares) {
        shares = previewWithdraw(assets);
        _exit(assets, shares, receiver, owner);
    }

    function redeem(uint256 shares, address receiver, address owner) external returns (uint256 assets) {
        assets = previewRedeem(shares);
        _exit(assets, shares, receiver, owner);
    }

    function totalAssets() public view returns (uint256) {
        return IERC20(asset).balanceOf(address(this));
    }

    function convertToShares(uint256 assets) public view returns (uint256) {
        return _toShares(assets, Math.Rounding.Floor);
    }

    function convertToAssets(uint256 shares) public view returns (uint256) {
        return _toAssets(shares, Math.Rounding.Floor);
    }

    function previewDeposit(uint256 assets) public view returns (uint256) {
        return _toShares(assets, Math.Rounding.Floor);
    }

    function previewMint(uint256 shares) public view returns (uint256) {
        return _toAssets(shares, Math.Rounding.Ceil);
    }

    function previewWithdraw(uint256 assets) public view returns (uint256) {
        return _toShares(assets, Math.Rounding.Ceil);
    }

    function previewRedeem(uint256 shares) public view returns (uint256) {
        return _toAssets(shares, Math.Rounding.Floor);
    }

    function maxDeposit(address) external view returns (uint256) {
        return paused() ? 0 : type(uint256).max;
    }

    function maxMint(address) external view returns (uint256) {
        return paused() ? 0 : type(uint256).max;
    }

    function maxWithdraw(address owner) external view returns (uint256) {
        return exitsPaused() ? 0 : convertToAssets(balanceOf(owner));
    }

    function maxRedeem(address owner) external view returns (uint256) {
        return exitsPaused() ? 0 : balanceOf(owner);
    }

    function _enter(uint256 assets, uint256 shares, address receiver) private whenEntryOpen {
        if (shares == 0) revert ZeroShares();
        IERC20(asset).safeTransferFrom(msg.sender, address(this), assets);
        _mint(receiver, shares);
        emit Deposit(msg.sender, receiver, assets, shares);
    }

    function _exit(uint256 assets, uint256 shares, address receiver, address owner) private whenExitOpen {
        if (msg.sender != owner) _spendAllowance(owner, msg.sender, shares);
        _burn(owner, shares);
        IERC20(asset).safeTransfer(receiver, assets);
        emit Withdraw(msg.sender, receiver, owner, assets, shares);
    }

    function _toShares(uint256 assets, Math.Rounding rounding) private view returns (uint256) {
        uint256 supply = totalSupply();
        return supply == 0 ? assets : Math.mulDiv(assets, supply, totalAssets(), rounding);
    }

    function _toAssets(uint256 shares, Math.Rounding rounding) private view returns (uint256) {
        uint256 supply = totalSupply();
        return supply == 0 ? shares : Math.mulDiv(shares, totalAssets(), supply, rounding);
    }

    function _guardian() internal view override returns (address) {
        return GUARDIAN;
    }

    function _governance() internal view override returns (address) {
        return GOVERNANCE;
    }

    function _maxGuardianPause() internal view override returns (uint256) {
        return MAX_PAUSE;
    }
}
