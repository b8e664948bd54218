// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {GuardedPausable} from "../../src/GuardedPausable.sol";

interface IBreaker {
    function onTokenInflow(address token, uint256 amount) external;
    function onTokenOutflow(address token, uint256 amount, address recipient, bool revertOnRateLimit) external;
    function onNativeAssetInflow(uint256 amount) external;
    function onNativeAssetOutflow(address recipient, bool revertOnRateLimit) external payable;
}

/// @title GuardedPool
/// @notice Drill target for general use: one-to-one deposits of one asset (a token, also one with a transfer fee, or with asset
/// address(1) ether), {GuardedPausable}, and withdrawals through a {WithdrawalCircuitBreaker} if one is named. For drills that need
/// something to steal, {operator} can move any account's balance, which stands for whatever bug or stolen key the drill is about.
contract GuardedPool is GuardedPausable {
    using SafeERC20 for IERC20;

    address public constant NATIVE = address(1);
    address public immutable asset;
    address public immutable breaker;
    address public immutable operator;
    address private immutable GUARDIAN;
    address private immutable GOVERNANCE;
    uint256 private immutable MAX_PAUSE;

    mapping(address => uint256) public balanceOf;
    uint256 public totalBalance;

    event Deposited(address indexed account, uint256 amount);
    event Withdrawn(address indexed account, address indexed to, uint256 amount);

    error WrongAsset();
    error NotOperator();
    error SendFailed();

    constructor(
        address asset_,
        address breaker_,
        address operator_,
        address guardian,
        address governance,
        uint256 maxPause
    ) {
        asset = asset_;
        breaker = breaker_;
        operator = operator_;
        GUARDIAN = guardian;
        GOVERNANCE = governance;
        MAX_PAUSE = maxPause;
    }

    /// @notice Takes back voided claims and plain gifts.
    receive() external payable {}

    function deposit(uint256 amount) external whenEntryOpen {
        if (asset == NATIVE) revert WrongAsset();
        uint256 before = IERC20(asset).balanceOf(address(this));
        IERC20(asset).safeTransferFrom(msg.sender, address(this), amount);
        uint256 arrived = IERC20(asset).balanceOf(address(this)) - before;
        _credit(arrived);
        if (breaker != address(0)) IBreaker(breaker).onTokenInflow(asset, arrived);
    }

    function depositNative() external payable whenEntryOpen {
        if (asset != NATIVE) revert WrongAsset();
        _credit(msg.value);
        if (breaker != address(0)) IBreaker(breaker).onNativeAssetInflow(msg.value);
    }

    /// @param revertOnRateLimit with a breaker: revert rather than wait in its queue
    function withdraw(uint256 amount, address to, bool revertOnRateLimit) external {
        _withdraw(msg.sender, amount, to, revertOnRateLimit);
    }

    /// @notice The hole: takes `account`'s balance.
    function operatorWithdraw(address account, uint256 amount, address to) external {
        if (msg.sender != operator) revert NotOperator();
        _withdraw(account, amount, to, false);
    }

    function _credit(uint256 amount) private {
        balanceOf[msg.sender] += amount;
        totalBalance += amount;
        emit Deposited(msg.sender, amount);
    }

    function _withdraw(address account, uint256 amount, address to, bool revertOnRateLimit) private whenExitOpen {
        balanceOf[account] -= amount;
        totalBalance -= amount;
        emit Withdrawn(account, to, amount);
        if (asset == NATIVE) return _sendNative(amount, to, revertOnRateLimit);
        if (breaker == address(0)) return IERC20(asset).safeTransfer(to, amount);
        IERC20(asset).safeTransfer(breaker, amount);
        IBreaker(breaker).onTokenOutflow(asset, amount, to, revertOnRateLimit);
    }

    function _sendNative(uint256 amount, address to, bool revertOnRateLimit) private {
        if (breaker != address(0)) {
            IBreaker(breaker).onNativeAssetOutflow{value: amount}(to, revertOnRateLimit);
            return;
        }
        (bool ok,) = to.call{value: amount}("");
        if (!ok) revert SendFailed();
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
