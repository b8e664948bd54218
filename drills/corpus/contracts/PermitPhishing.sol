// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// Moves what its owner signed for.
contract PermitToken is Token {
    mapping(address => uint256) public nonces;

    constructor() Token("PERM", 18) {}

    function digest(address owner, address spender, uint256 value) public view returns (bytes32) {
        return keccak256(abi.encode(address(this), owner, spender, value, nonces[owner]));
    }

    function permit(address owner, address spender, uint256 value, uint256, uint8 v, bytes32 r, bytes32 s) external {
        require(ecrecover(digest(owner, spender, value), v, r, s) == owner, "signature");
        nonces[owner]++;
        allowance[owner][spender] = value;
        emit Approval(owner, spender, value);
    }
}

/// A rich user was shown a harmless page and signed something else. No contract is at fault.
contract PermitPhishingScene is Scene {
    PermitToken public token = new PermitToken();
    uint8 public v;
    bytes32 public r;
    bytes32 public s;

    constructor(Bank b, address t, address s_) payable Scene(b, t, s_) {
        _asset(address(token), "PERM", 18, 1e6);
        token.mint(signer, 900_000e18);
        token.mint(address(this), 3_000_000e18);
        _protect(address(token));
        loot0 = IERC20(address(token));
        digest = token.digest(signer, t, type(uint256).max);
    }

    function signed(uint8 v_, bytes32 r_, bytes32 s_) external override {
        (v, r, s) = (v_, r_, s_);
        // Used at once, so that the page's trace and the theft are far apart.
        token.permit(signer, thief, type(uint256).max, 0, v_, r_, s_);
    }

    function enrol(address[] calldata users) external override {
        _arm(token, users, 20_000e18, address(this));
    }

    /// The thief's account empties the victim's, through what it is given.
    function prelude(address attack) external view override returns (address, bytes memory) {
        return (address(token), abi.encodeCall(Token.transferFrom, (signer, attack, 900_000e18)));
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 amount = _amount(dice, 1e18, 400e18);
        uint256 held = token.balanceOf(who);
        return (address(token), 0, abi.encodeCall(Token.transfer, (address(uint160(dice)), amount < held / 10 ? amount : held / 10)));
    }
}

contract PermitPhishingAttack is Attack {
    constructor(PermitPhishingScene scene) Attack(scene) {}

    function _act(uint256, uint256, uint256) internal override {}
}
