// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {GuardedPausable} from "../../src/GuardedPausable.sol";

interface IDemoCustody {
    function release(address to, uint256 amount) external;
}

/// @title DemoVaultUUPS
/// @notice Drill target (D9). Upgradeable one-to-one vault whose single owner key authorises upgrades: whoever steals the key owns the
/// code. Tokens sit in the vault itself (nothing can be saved once the code is replaced) or in a {DemoCustody} (a pause there holds).
/// Also shows {GuardedPausable} in an upgradeable host.
contract DemoVaultUUPS is Initializable, UUPSUpgradeable, GuardedPausable {
    using SafeERC20 for IERC20;

    /// @custom:storage-location erc7201:cofferdam.storage.DemoVaultUUPS
    struct VaultStorage {
        address token;
        address owner;
        address guardian;
        address governance;
        address custody; // zero: the vault holds the tokens itself
        uint256 maxPause;
        uint256 totalBalance;
        mapping(address => uint256) balanceOf;
    }

    struct Config {
        address token;
        address owner;
        address guardian;
        address governance;
        address custody;
        uint256 maxPause;
    }

    bytes32 private constant VAULT_SLOT =
        keccak256(abi.encode(uint256(keccak256("cofferdam.storage.DemoVaultUUPS")) - 1)) & ~bytes32(uint256(0xff));

    event Deposited(address indexed account, uint256 amount);
    event Withdrawn(address indexed account, uint256 amount);
    event OwnershipTransferred(address indexed previousOwner, address indexed newOwner);

    error NotOwner();

    constructor() {
        _disableInitializers();
    }

    function initialize(Config calldata c) external initializer {
        VaultStorage storage s = _vault();
        s.token = c.token;
        s.owner = c.owner;
        s.guardian = c.guardian;
        s.governance = c.governance;
        s.custody = c.custody;
        s.maxPause = c.maxPause;
        emit OwnershipTransferred(address(0), c.owner);
    }

    function deposit(uint256 amount) external whenEntryOpen {
        VaultStorage storage s = _vault();
        s.balanceOf[msg.sender] += amount;
        s.totalBalance += amount;
        IERC20(s.token).safeTransferFrom(msg.sender, s.custody == address(0) ? address(this) : s.custody, amount);
        emit Deposited(msg.sender, amount);
    }

    function withdraw(uint256 amount) external whenExitOpen {
        VaultStorage storage s = _vault();
        s.balanceOf[msg.sender] -= amount;
        s.totalBalance -= amount;
        if (s.custody == address(0)) IERC20(s.token).safeTransfer(msg.sender, amount);
        else IDemoCustody(s.custody).release(msg.sender, amount);
        emit Withdrawn(msg.sender, amount);
    }

    function transferOwnership(address newOwner) external {
        VaultStorage storage s = _vault();
        if (msg.sender != s.owner) revert NotOwner();
        emit OwnershipTransferred(s.owner, newOwner);
        s.owner = newOwner;
    }

    function balanceOf(address account) external view returns (uint256) {
        return _vault().balanceOf[account];
    }

    function totalBalance() external view returns (uint256) {
        return _vault().totalBalance;
    }

    function owner() external view returns (address) {
        return _vault().owner;
    }

    function token() external view returns (address) {
        return _vault().token;
    }

    function custody() external view returns (address) {
        return _vault().custody;
    }

    function _authorizeUpgrade(address) internal view override {
        if (msg.sender != _vault().owner) revert NotOwner();
    }

    function _guardian() internal view override returns (address) {
        return _vault().guardian;
    }

    function _governance() internal view override returns (address) {
        return _vault().governance;
    }

    function _maxGuardianPause() internal view override returns (uint256) {
        return _vault().maxPause;
    }

    function _vault() private pure returns (VaultStorage storage s) {
        bytes32 slot = VAULT_SLOT;
        assembly ("memory-safe") {
            s.slot := slot
        }
    }
}
