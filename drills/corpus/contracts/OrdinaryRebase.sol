// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// A token whose balances grow and shrink with what stands behind it.
contract RebasingToken {
    string public constant symbol = "REB";
    uint8 public constant decimals = 18;
    address public immutable keeper;
    uint256 public totalShares;
    uint256 public pooled;
    mapping(address => uint256) public shares;
    mapping(address => mapping(address => uint256)) public allowance;

    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);
    event Rebased(uint256 pooled);

    constructor() {
        keeper = msg.sender;
    }

    function totalSupply() external view returns (uint256) {
        return pooled;
    }

    function balanceOf(address who) public view returns (uint256) {
        return totalShares == 0 ? 0 : shares[who] * pooled / totalShares;
    }

    function mint(address to, uint256 amount) external {
        require(msg.sender == keeper, "keeper");
        uint256 more = totalShares == 0 ? amount : amount * totalShares / pooled;
        totalShares += more;
        shares[to] += more;
        pooled += amount;
        emit Transfer(address(0), to, amount);
    }

    function rebase(uint256 ppm) external {
        require(msg.sender == keeper, "keeper");
        pooled = pooled * ppm / 1e6;
        emit Rebased(pooled);
    }

    function arm(address user, address spender) external {
        require(msg.sender == keeper, "keeper");
        allowance[user][spender] = type(uint256).max;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        _move(msg.sender, to, amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        allowance[from][msg.sender] -= amount;
        _move(from, to, amount);
        return true;
    }

    function _move(address from, address to, uint256 amount) private {
        uint256 part = amount * totalShares / pooled;
        shares[from] -= part;
        shares[to] += part;
        emit Transfer(from, to, amount);
    }
}

/// Wraps it into shares that stand still.
contract Wrapper {
    RebasingToken public immutable token;
    mapping(address => uint256) public balanceOf;
    uint256 public totalSupply;

    event Wrapped(address indexed who, uint256 amount, uint256 shares);
    event Unwrapped(address indexed who, uint256 amount, uint256 shares);

    constructor(RebasingToken token_) {
        token = token_;
    }

    function totalAssets() public view returns (uint256) {
        return token.balanceOf(address(this));
    }

    function wrap(uint256 amount) external {
        uint256 part = totalSupply == 0 ? amount : amount * totalSupply / totalAssets();
        token.transferFrom(msg.sender, address(this), amount);
        balanceOf[msg.sender] += part;
        totalSupply += part;
        emit Wrapped(msg.sender, amount, part);
    }

    function unwrap(uint256 part) external {
        uint256 amount = part * totalAssets() / totalSupply;
        balanceOf[msg.sender] -= part;
        totalSupply -= part;
        token.transfer(msg.sender, amount);
        emit Unwrapped(msg.sender, amount, part);
    }
}

contract OrdinaryRebaseScene is Scene {
    RebasingToken public token = new RebasingToken();
    Wrapper public wrapper;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        _asset(address(token), "REB", 18, 1e6);
        wrapper = new Wrapper(token);
        token.mint(address(this), 2_000_000e18);
        token.arm(address(this), address(wrapper));
        wrapper.wrap(1_000_000e18);
        _protect(address(token));
        _protect(address(wrapper));
    }

    function enrol(address[] calldata users) external override {
        for (uint256 i; i < users.length; i++) {
            token.mint(users[i], 30_000e18);
            token.arm(users[i], address(wrapper));
        }
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 kind = (dice >> 200) % 4;
        uint256 part = wrapper.balanceOf(who);
        uint256 held = token.balanceOf(who);
        if (kind == 0) return (address(token), 0, abi.encodeCall(RebasingToken.transfer, (address(uint160(dice)), held / 100)));
        if (kind == 1 && part > 0) return (address(wrapper), 0, abi.encodeCall(Wrapper.unwrap, (part)));
        return (address(wrapper), 0, abi.encodeCall(Wrapper.wrap, (held / 4)));
    }

    /// Up a little nearly always, down a little now and then.
    function errand(uint256 dice) external view override returns (address, address, uint256, bytes memory) {
        if (dice % 4 != 0) return (address(0), address(0), 0, "");
        uint256 ppm = (dice >> 9) % 20 == 0 ? 999_995 : 1_000_000 + (dice >> 20) % 8;
        return (address(this), address(token), 0, abi.encodeCall(RebasingToken.rebase, (ppm)));
    }
}
