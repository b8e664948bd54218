// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// Gives a token away: each user once a season, and by the hundred to strangers.
contract Airdrop {
    Token public immutable token;
    address public immutable owner;
    uint256 public season;
    mapping(address => uint256) public claimed;

    event Claimed(address indexed who, uint256 amount);

    constructor(Token token_) {
        (token, owner) = (token_, msg.sender);
    }

    function open() external {
        require(msg.sender == owner, "owner");
        season++;
    }

    function claim() external {
        require(claimed[msg.sender] < season, "claimed");
        claimed[msg.sender] = season;
        token.transfer(msg.sender, 150e18);
        emit Claimed(msg.sender, 150e18);
    }

    function drop(uint160 from, uint256 count, uint256 amount) external {
        require(msg.sender == owner, "owner");
        for (uint160 i; i < count; i++) token.transfer(address(from + i), amount);
    }

    function refill(uint256 amount) external {
        token.transferFrom(msg.sender, address(this), amount);
    }
}

contract OrdinaryAirdropScene is Scene {
    Token public coin = new Token("DROP", 18);
    Airdrop public airdrop;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        _asset(address(coin), "DROP", 18, 2e6);
        airdrop = new Airdrop(coin);
        coin.mint(address(airdrop), 3_000_000e18);
        coin.mint(address(this), 2_000_000_000e18);
        coin.approve(address(airdrop), type(uint256).max);
        _protect(address(airdrop));
        _protect(address(coin));
    }

    function enrol(address[] calldata users) external override {
        _arm(coin, users, 1_000e18, address(this));
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        if (airdrop.claimed(who) < airdrop.season()) return (address(airdrop), 0, abi.encodeCall(Airdrop.claim, ()));
        uint256 held = coin.balanceOf(who);
        return (address(coin), 0, abi.encodeCall(Token.transfer, (address(uint160(dice)), held / 40)));
    }

    function errand(uint256 dice) external view override returns (address, address, uint256, bytes memory) {
        if (dice % 16 == 0) return (address(this), address(airdrop), 0, abi.encodeCall(Airdrop.open, ()));
        if (coin.balanceOf(address(airdrop)) < 1_500_000e18) {
            return (address(this), address(airdrop), 0, abi.encodeCall(Airdrop.refill, (1_500_000e18)));
        }
        uint256 amount = _amount(dice >> 20, 1e18, 60e18);
        return (address(this), address(airdrop), 0, abi.encodeCall(Airdrop.drop, (uint160(dice >> 96), 10 + dice % 40, amount)));
    }
}
