// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

interface IFlashSwapCallee {
    function uniswapV2Call(address sender, uint256 amount0, uint256 amount1, bytes calldata data) external;
}

/// @title DemoPair
/// @notice Drill target (D5). Constant-product pair, 0.3 % fee, flash swap; same function and event shapes as a Uniswap V2 pair, so
/// drills may use either. Liquidity shares are plain balances; there is no factory, oracle accumulator or protocol fee.
contract DemoPair {
    using SafeERC20 for IERC20;

    address public immutable token0;
    address public immutable token1;
    uint112 private _reserve0;
    uint112 private _reserve1;
    uint32 private _updatedAt;
    bool private transient _entered;
    uint256 public totalSupply;
    mapping(address => uint256) public balanceOf;

    event Mint(address indexed sender, uint256 amount0, uint256 amount1);
    event Burn(address indexed sender, uint256 amount0, uint256 amount1, address indexed to);
    event Swap(
        address indexed sender,
        uint256 amount0In,
        uint256 amount1In,
        uint256 amount0Out,
        uint256 amount1Out,
        address indexed to
    );
    event Sync(uint112 reserve0, uint112 reserve1);

    error Locked();
    error Overflow();
    error InsufficientLiquidity();
    error InsufficientInput();
    error ProductFell();

    modifier lock() {
        if (_entered) revert Locked();
        _entered = true;
        _;
        _entered = false;
    }

    /// @dev Tokens are sorted by address, as a Uniswap V2 factory would.
    constructor(address a, address b) {
        require(a != b, "same token");
        (token0, token1) = a < b ? (a, b) : (b, a);
    }

    function getReserves() external view returns (uint112, uint112, uint32) {
        return (_reserve0, _reserve1, _updatedAt);
    }

    /// @notice Credits liquidity for what was transferred in beforehand.
    function mint(address to) external lock returns (uint256 liquidity) {
        (uint256 balance0, uint256 balance1) = _balances();
        uint256 in0 = balance0 - _reserve0;
        uint256 in1 = balance1 - _reserve1;
        liquidity = totalSupply == 0
            ? Math.sqrt(in0 * in1)
            : Math.min(in0 * totalSupply / _reserve0, in1 * totalSupply / _reserve1);
        if (liquidity == 0) revert InsufficientInput();
        totalSupply += liquidity;
        balanceOf[to] += liquidity;
        _update(balance0, balance1);
        emit Mint(msg.sender, in0, in1);
    }

    /// @notice Burns the caller's liquidity and pays out its part.
    function burn(uint256 liquidity, address to) external lock returns (uint256 out0, uint256 out1) {
        (uint256 balance0, uint256 balance1) = _balances();
        out0 = liquidity * balance0 / totalSupply;
        out1 = liquidity * balance1 / totalSupply;
        balanceOf[msg.sender] -= liquidity;
        totalSupply -= liquidity;
        IERC20(token0).safeTransfer(to, out0);
        IERC20(token1).safeTransfer(to, out1);
        (balance0, balance1) = _balances();
        _update(balance0, balance1);
        emit Burn(msg.sender, out0, out1, to);
    }

    /// @notice Pays out first, calls `to` if `data` is not empty, then checks that the product with fee did not fall.
    function swap(uint256 amount0Out, uint256 amount1Out, address to, bytes calldata data) external lock {
        if (amount0Out >= _reserve0 || amount1Out >= _reserve1 || amount0Out + amount1Out == 0) {
            revert InsufficientLiquidity();
        }
        if (amount0Out != 0) IERC20(token0).safeTransfer(to, amount0Out);
        if (amount1Out != 0) IERC20(token1).safeTransfer(to, amount1Out);
        if (data.length != 0) IFlashSwapCallee(to).uniswapV2Call(msg.sender, amount0Out, amount1Out, data);
        _settle(amount0Out, amount1Out, to);
    }

    /// @notice Makes the reserves match the balances.
    function sync() external lock {
        (uint256 balance0, uint256 balance1) = _balances();
        _update(balance0, balance1);
    }

    function _settle(uint256 amount0Out, uint256 amount1Out, address to) private {
        (uint256 balance0, uint256 balance1) = _balances();
        uint256 in0 = balance0 > _reserve0 - amount0Out ? balance0 - (_reserve0 - amount0Out) : 0;
        uint256 in1 = balance1 > _reserve1 - amount1Out ? balance1 - (_reserve1 - amount1Out) : 0;
        if (in0 + in1 == 0) revert InsufficientInput();
        uint256 product = (balance0 * 1000 - in0 * 3) * (balance1 * 1000 - in1 * 3);
        if (product < uint256(_reserve0) * _reserve1 * 1e6) revert ProductFell();
        _update(balance0, balance1);
        emit Swap(msg.sender, in0, in1, amount0Out, amount1Out, to);
    }

    function _balances() private view returns (uint256, uint256) {
        return (IERC20(token0).balanceOf(address(this)), IERC20(token1).balanceOf(address(this)));
    }

    function _update(uint256 balance0, uint256 balance1) private {
        if (balance0 > type(uint112).max || balance1 > type(uint112).max) revert Overflow();
        _reserve0 = uint112(balance0);
        _reserve1 = uint112(balance1);
        _updatedAt = uint32(block.timestamp);
        emit Sync(_reserve0, _reserve1);
    }
}
