// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {GuardedPausable} from "../../src/GuardedPausable.sol";

interface IPairReserves {
    function token0() external view returns (address);
    function token1() external view returns (address);
    function getReserves() external view returns (uint112, uint112, uint32);
}

/// @title DemoLendingPool
/// @notice Drill target (D5). Lends `cash` against `collateral` and, on purpose, prices the collateral from the spot reserves of one
/// pair: whoever moves the pair moves the price. Interest and liquidation are left out.
/// Funding, collateral and borrowing are entries; repaying and withdrawing are exits of {GuardedPausable}.
contract DemoLendingPool is GuardedPausable {
    using SafeERC20 for IERC20;

    uint256 public constant LTV_BPS = 7_500;
    uint256 private constant WAD = 1e18;

    address public immutable collateral;
    address public immutable cash;
    address public immutable pair;
    bool private immutable COLLATERAL_IS_TOKEN0;
    address private immutable GUARDIAN;
    address private immutable GOVERNANCE;
    uint256 private immutable MAX_PAUSE;

    mapping(address => uint256) public collateralOf;
    mapping(address => uint256) public debtOf;
    mapping(address => uint256) public fundedBy;
    uint256 public totalCollateral;
    uint256 public totalDebt;

    event Funded(address indexed lender, uint256 amount);
    event Defunded(address indexed lender, uint256 amount);
    event CollateralAdded(address indexed account, uint256 amount);
    event CollateralRemoved(address indexed account, uint256 amount);
    event Borrow(address indexed account, uint256 amount, uint256 priceWad);
    event Repay(address indexed account, uint256 amount);

    error WrongPair();
    error Undercollateralised(uint256 debt, uint256 limit);

    constructor(
        address collateral_,
        address cash_,
        address pair_,
        address guardian,
        address governance,
        uint256 maxPause
    ) {
        address t0 = IPairReserves(pair_).token0();
        address t1 = IPairReserves(pair_).token1();
        bool first = t0 == collateral_ && t1 == cash_;
        if (!first && !(t1 == collateral_ && t0 == cash_)) revert WrongPair();
        collateral = collateral_;
        cash = cash_;
        pair = pair_;
        COLLATERAL_IS_TOKEN0 = first;
        GUARDIAN = guardian;
        GOVERNANCE = governance;
        MAX_PAUSE = maxPause;
    }

    function fund(uint256 amount) external whenEntryOpen {
        fundedBy[msg.sender] += amount;
        IERC20(cash).safeTransferFrom(msg.sender, address(this), amount);
        emit Funded(msg.sender, amount);
    }

    function defund(uint256 amount) external whenExitOpen {
        fundedBy[msg.sender] -= amount;
        IERC20(cash).safeTransfer(msg.sender, amount);
        emit Defunded(msg.sender, amount);
    }

    function addCollateral(uint256 amount) external whenEntryOpen {
        collateralOf[msg.sender] += amount;
        totalCollateral += amount;
        IERC20(collateral).safeTransferFrom(msg.sender, address(this), amount);
        emit CollateralAdded(msg.sender, amount);
    }

    function removeCollateral(uint256 amount) external whenExitOpen {
        collateralOf[msg.sender] -= amount;
        totalCollateral -= amount;
        _requireHealthy(msg.sender);
        IERC20(collateral).safeTransfer(msg.sender, amount);
        emit CollateralRemoved(msg.sender, amount);
    }

    function borrow(uint256 amount) external whenEntryOpen {
        debtOf[msg.sender] += amount;
        totalDebt += amount;
        _requireHealthy(msg.sender);
        IERC20(cash).safeTransfer(msg.sender, amount);
        emit Borrow(msg.sender, amount, priceWad());
    }

    function repay(uint256 amount) external whenExitOpen {
        debtOf[msg.sender] -= amount;
        totalDebt -= amount;
        IERC20(cash).safeTransferFrom(msg.sender, address(this), amount);
        emit Repay(msg.sender, amount);
    }

    /// @notice Cash per unit of collateral, 1e18 fixed point: the pair's spot reserves, nothing else.
    function priceWad() public view returns (uint256) {
        (uint112 r0, uint112 r1,) = IPairReserves(pair).getReserves();
        return COLLATERAL_IS_TOKEN0 ? uint256(r1) * WAD / r0 : uint256(r0) * WAD / r1;
    }

    /// @notice Largest debt `account` may carry at the present price.
    function borrowLimit(address account) public view returns (uint256) {
        return collateralOf[account] * priceWad() / WAD * LTV_BPS / 10_000;
    }

    function _requireHealthy(address account) private view {
        uint256 debt = debtOf[account];
        if (debt == 0) return;
        uint256 limit = borrowLimit(account);
        if (debt > limit) revert Undercollateralised(debt, limit);
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
