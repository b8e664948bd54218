// SPDX-License-Identifier: MIT OR Apache-2.0
// What the scenes of the corpus are built from. Flawed on purpose where a class says so; for the in-process chain only.
pragma solidity 0.8.35;

interface IERC20 {
    function balanceOf(address) external view returns (uint256);
    function totalSupply() external view returns (uint256);
    function transfer(address, uint256) external returns (bool);
    function transferFrom(address, address, uint256) external returns (bool);
    function approve(address, uint256) external returns (bool);
}

contract Token {
    string public symbol;
    uint8 public immutable decimals;
    address public immutable minter;
    uint256 public totalSupply;
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);

    constructor(string memory symbol_, uint8 decimals_) {
        (symbol, decimals, minter) = (symbol_, decimals_, msg.sender);
    }

    function name() external view returns (string memory) {
        return symbol;
    }

    /// Before the curtain rises: money for a user, and his approval of a contract.
    function arm(address user, uint256 amount, address spender) external {
        require(msg.sender == minter, "minter");
        _mint(user, amount);
        allowance[user][spender] = type(uint256).max;
    }

    function mint(address to, uint256 amount) external virtual {
        require(msg.sender == minter, "minter");
        _mint(to, amount);
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        allowance[msg.sender][spender] = amount;
        emit Approval(msg.sender, spender, amount);
        return true;
    }

    function transfer(address to, uint256 amount) external virtual returns (bool) {
        _move(msg.sender, to, amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external virtual returns (bool) {
        _spend(from, amount);
        _move(from, to, amount);
        return true;
    }

    function _spend(address from, uint256 amount) internal {
        uint256 allowed = allowance[from][msg.sender];
        require(allowed >= amount, "allowance");
        if (allowed != type(uint256).max) allowance[from][msg.sender] = allowed - amount;
    }

    function _move(address from, address to, uint256 amount) internal virtual {
        require(balanceOf[from] >= amount, "balance");
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
        emit Transfer(from, to, amount);
    }

    function _mint(address to, uint256 amount) internal {
        totalSupply += amount;
        balanceOf[to] += amount;
        emit Transfer(address(0), to, amount);
    }

    function _burn(address from, uint256 amount) internal {
        require(balanceOf[from] >= amount, "balance");
        balanceOf[from] -= amount;
        totalSupply -= amount;
        emit Transfer(from, address(0), amount);
    }
}

/// Money for one transaction, in four dialects. Not protected: public infrastructure.
contract Bank {
    event FlashLoan(
        address indexed target, address initiator, address indexed asset, uint256 amount, uint8 interestRateMode,
        uint256 premium, uint16 indexed referralCode
    );

    /// Free of charge, as with Balancer and Maker.
    function fee(uint256) public pure returns (uint256) {
        return 0;
    }

    /// As Aave v3 does it.
    function flashLoanSimple(IERC20 token, uint256 amount, bytes calldata data) external {
        uint256 before = token.balanceOf(address(this));
        token.transfer(msg.sender, amount);
        Attack(payable(msg.sender)).executeOperation(address(token), amount, fee(amount), msg.sender, data);
        emit FlashLoan(msg.sender, msg.sender, address(token), amount, 0, fee(amount), 0);
        require(token.balanceOf(address(this)) >= before + fee(amount), "repay");
    }

    /// As a pair of Uniswap v2 does it.
    function swap(IERC20 token, uint256 amount, bytes calldata data) external {
        uint256 before = token.balanceOf(address(this));
        token.transfer(msg.sender, amount);
        Attack(payable(msg.sender)).uniswapV2Call(address(token), amount, 0, data);
        require(token.balanceOf(address(this)) >= before + fee(amount), "repay");
    }

    /// As EIP-3156 says.
    function flashLoan(IERC20 token, uint256 amount, bytes calldata data) external {
        uint256 before = token.balanceOf(address(this));
        token.transfer(msg.sender, amount);
        Attack(payable(msg.sender)).onFlashLoan(msg.sender, address(token), amount, fee(amount), data);
        require(token.balanceOf(address(this)) >= before + fee(amount), "repay");
    }

    /// As nobody knows it: no event, a callback on no list.
    function advance(IERC20 token, uint256 amount, bytes calldata data) external {
        uint256 before = token.balanceOf(address(this));
        token.transfer(msg.sender, amount);
        Attack(payable(msg.sender)).onAdvance(token, amount, data);
        require(token.balanceOf(address(this)) >= before + fee(amount), "repay");
    }
}

struct Asset {
    address token;
    string symbol;
    uint8 decimals;
    uint256 price; // micro-dollars per whole token; the zero address is native value
}

/// One protocol with its users. What is protected, what it holds, and what users ordinarily do.
abstract contract Scene {
    Bank public immutable bank;
    address public immutable thief;
    address public immutable signer;
    IERC20 public loanToken;
    uint256 public loanAmount;
    uint256 public stake; // native value that the attacker brings along
    IERC20 public loot0;
    IERC20 public loot1;
    uint256 public phases = 1;
    bool public atomic; // cannot be cut into pieces
    bool public own; // done with own money, whatever the variant
    address[] internal _accounts;
    Asset[] internal _assets;
    bytes32 public digest; // what `signer` has to sign before the curtain rises

    constructor(Bank bank_, address thief_, address signer_) payable {
        (bank, thief, signer) = (bank_, thief_, signer_);
    }

    receive() external payable {}

    function accounts() external view returns (address[] memory) {
        return _accounts;
    }

    function assets() external view returns (Asset[] memory) {
        return _assets;
    }

    /// Money and approvals for the users.
    function enrol(address[] calldata users) external virtual;

    /// What `who` does next, of his own free will.
    function menu(address who, uint256 dice) external view virtual returns (address to, uint256 value, bytes memory data);

    /// What those with a role do next: keepers, solvers, administrators. Nothing if `to` is zero.
    function errand(uint256) external view virtual returns (address from, address to, uint256 value, bytes memory data) {}

    /// Upgrades that are announced: the first time, the time between two, how long one may take.
    function upgrades() external view virtual returns (address what, uint256 first, uint256 every, uint256 lasting) {}

    /// The governor, who executes for it, and the token that votes.
    function governor() external view virtual returns (address account, address executor, address votes) {}

    /// The transaction of the key's thief that goes first.
    function prelude(address) external view virtual returns (address to, bytes memory data) {}

    /// What an ordinary user does between two phases of the attack.
    function bystander(uint256) external view virtual returns (address to, bytes memory data) {}

    /// The attacker's own money, for those who borrow none.
    function endow(address attacker) external {
        if (loanAmount != 0) Token(address(loanToken)).mint(attacker, loanAmount);
    }

    function signed(uint8 v, bytes32 r, bytes32 s) external virtual {}

    function _protect(address it) internal {
        _accounts.push(it);
    }

    function _asset(address token, string memory symbol, uint8 decimals, uint256 price) internal {
        _assets.push(Asset(token, symbol, decimals, price));
    }

    function _loan(IERC20 token, uint256 amount) internal {
        (loanToken, loanAmount) = (token, amount);
        Token(address(token)).mint(address(bank), amount * 2);
    }

    function _usd() internal returns (Token token) {
        token = new Token("USDX", 18);
        _asset(address(token), "USDX", 18, 1e6);
    }

    function _arm(Token token, address[] calldata users, uint256 amount, address spender) internal {
        for (uint256 i; i < users.length; i++) token.arm(users[i], amount, spender);
    }

    /// An amount between `low` and `high`, most of them small.
    function _amount(uint256 dice, uint256 low, uint256 high) internal pure returns (uint256) {
        uint256 part = (dice & 0xffff) * ((dice >> 16) & 0xffff) >> 16;
        return low + ((high - low) * part >> 16);
    }
}

/// The attacker. One logic, entered in many ways; all it knows is in its code, so that it also runs as a clone or as the code of
/// a delegated account.
abstract contract Attack {
    Bank internal immutable bank;
    IERC20 internal immutable loanToken;
    uint256 internal immutable loanAmount;
    IERC20 internal immutable loot0;
    IERC20 internal immutable loot1;

    constructor(Scene scene) {
        (bank, loanToken, loanAmount) = (scene.bank(), scene.loanToken(), scene.loanAmount());
        (loot0, loot1) = (scene.loot0(), scene.loot1());
    }

    receive() external payable virtual {
        _onEther();
    }

    /// Piece `index` of `count` of a phase, with money from `source`; the loot goes to `to` unless that is zero.
    function run(uint256 phase, uint256 index, uint256 count, uint256 source, address to) public payable {
        bytes memory data = abi.encode(phase, index, count);
        if (loanAmount == 0 || source == 4) _act(phase, index, count);
        else if (source == 0) bank.flashLoanSimple(loanToken, loanAmount, data);
        else if (source == 1) bank.swap(loanToken, loanAmount, data);
        else if (source == 2) bank.flashLoan(loanToken, loanAmount, data);
        else bank.advance(loanToken, loanAmount, data);
        if (to != address(0)) collect(to);
    }

    /// Does nothing unless the block was built by `builder` and the price of gas is at least `price`.
    function gated(address builder, uint256 price, uint256 phase, uint256 source, address to) external payable {
        if (block.coinbase == builder && tx.gasprice >= price) run(phase, 0, 1, source, to);
    }

    /// Calldata that says nothing to a reader: everything masked with a key that comes first.
    fallback() external payable {
        if (msg.data.length < 64) return;
        bytes32 key = bytes32(msg.data[0:32]);
        bytes memory clear = msg.data[32:];
        for (uint256 i; i < clear.length; i++) clear[i] ^= key[i % 32];
        (bool ok,) = address(this).delegatecall(clear);
        require(ok, "masked");
    }

    function collect(address to) public {
        if (to == address(this)) return;
        _collect(loot0, to);
        _collect(loot1, to);
        if (address(this).balance > 0) {
            (bool ok,) = to.call{value: address(this).balance}("");
            require(ok, "collect");
        }
    }

    function _collect(IERC20 token, address to) private {
        if (address(token) == address(0)) return;
        uint256 held = token.balanceOf(address(this));
        if (held > 0) token.transfer(to, held);
    }

    function executeOperation(address, uint256, uint256, address, bytes calldata data) external returns (bool) {
        _inner(data);
        return true;
    }

    function uniswapV2Call(address, uint256, uint256, bytes calldata data) external {
        _inner(data);
    }

    function onFlashLoan(address, address, uint256, uint256, bytes calldata data) external returns (bytes32) {
        _inner(data);
        return keccak256("ERC3156FlashBorrower.onFlashLoan");
    }

    function onAdvance(IERC20, uint256, bytes calldata data) external {
        _inner(data);
    }

    function _inner(bytes calldata data) private {
        (uint256 phase, uint256 index, uint256 count) = abi.decode(data, (uint256, uint256, uint256));
        _act(phase, index, count);
        loanToken.transfer(address(bank), loanAmount + bank.fee(loanAmount));
    }

    function _act(uint256 phase, uint256 index, uint256 count) internal virtual;

    function _onEther() internal virtual {}
}

/// Runs somebody else's code as its own.
contract Relay {
    address private immutable code;

    constructor(address code_) {
        code = code_;
    }

    receive() external payable {
        _run();
    }

    fallback() external payable {
        _run();
    }

    function _run() private {
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

/// A pool of two tokens after Uniswap v2, 0.3 % fee.
contract Pair {
    IERC20 public immutable token0;
    IERC20 public immutable token1;
    uint112 private reserve0;
    uint112 private reserve1;
    uint256 public totalSupply;
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);
    event Sync(uint112 reserve0, uint112 reserve1);
    event Swap(
        address indexed sender, uint256 amount0In, uint256 amount1In, uint256 amount0Out, uint256 amount1Out, address indexed to
    );

    constructor(IERC20 a, IERC20 b) {
        (token0, token1) = (a, b);
    }

    function getReserves() public view returns (uint112, uint112, uint32) {
        return (reserve0, reserve1, 0);
    }

    function mint(address to) external returns (uint256 shares) {
        uint256 in0 = token0.balanceOf(address(this)) - reserve0;
        uint256 in1 = token1.balanceOf(address(this)) - reserve1;
        if (totalSupply == 0) {
            shares = _sqrt(in0 * in1);
        } else {
            uint256 by0 = in0 * totalSupply / reserve0;
            uint256 by1 = in1 * totalSupply / reserve1;
            shares = by0 < by1 ? by0 : by1;
        }
        totalSupply += shares;
        balanceOf[to] += shares;
        emit Transfer(address(0), to, shares);
        _sync();
    }

    function burn(address to) external {
        uint256 shares = balanceOf[address(this)];
        uint256 out0 = shares * token0.balanceOf(address(this)) / totalSupply;
        uint256 out1 = shares * token1.balanceOf(address(this)) / totalSupply;
        balanceOf[address(this)] = 0;
        totalSupply -= shares;
        emit Transfer(address(this), address(0), shares);
        token0.transfer(to, out0);
        token1.transfer(to, out1);
        _sync();
    }

    function swap(uint256 out0, uint256 out1, address to) public {
        if (out0 > 0) token0.transfer(to, out0);
        if (out1 > 0) token1.transfer(to, out1);
        uint256 held0 = token0.balanceOf(address(this));
        uint256 held1 = token1.balanceOf(address(this));
        uint256 in0 = held0 > reserve0 - out0 ? held0 - (reserve0 - out0) : 0;
        uint256 in1 = held1 > reserve1 - out1 ? held1 - (reserve1 - out1) : 0;
        _check(held0 * 1000 - in0 * 3, held1 * 1000 - in1 * 3);
        _sync();
        emit Swap(msg.sender, in0, in1, out0, out1, to);
    }

    /// For users without a router: pulls what goes in.
    function trade(bool zeroForOne, uint256 amount, address to) external returns (uint256 out) {
        (IERC20 token, uint256 rin, uint256 rout) =
            zeroForOne ? (token0, uint256(reserve0), uint256(reserve1)) : (token1, uint256(reserve1), uint256(reserve0));
        token.transferFrom(msg.sender, address(this), amount);
        amount = token.balanceOf(address(this)) - rin;
        out = quote(amount, rin, rout);
        zeroForOne ? swap(0, out, to) : swap(out, 0, to);
    }

    function quote(uint256 amount, uint256 rin, uint256 rout) public pure returns (uint256) {
        return amount * 997 * rout / (rin * 1000 + amount * 997);
    }

    function skim(address to) external {
        token0.transfer(to, token0.balanceOf(address(this)) - reserve0);
        token1.transfer(to, token1.balanceOf(address(this)) - reserve1);
    }

    function sync() external {
        _sync();
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        allowance[msg.sender][spender] = amount;
        emit Approval(msg.sender, spender, amount);
        return true;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        return _moveShares(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        allowance[from][msg.sender] -= amount;
        return _moveShares(from, to, amount);
    }

    function _moveShares(address from, address to, uint256 amount) private returns (bool) {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
        emit Transfer(from, to, amount);
        return true;
    }

    function _check(uint256 held0, uint256 held1) internal view virtual {
        require(held0 * held1 >= uint256(reserve0) * reserve1 * 1e6, "K");
    }

    function _sync() private {
        reserve0 = uint112(token0.balanceOf(address(this)));
        reserve1 = uint112(token1.balanceOf(address(this)));
        emit Sync(reserve0, reserve1);
    }

    function _sqrt(uint256 x) private pure returns (uint256 y) {
        y = x;
        for (uint256 z = x / 2 + 1; z < y; z = (x / z + z) / 2) y = z;
    }
}

/// Starts without anything; the constructor of a scene pairs it up.
library Pairs {
    function open(Token a, Token b, uint256 amount0, uint256 amount1) internal returns (Pair pair) {
        pair = new Pair(IERC20(address(a)), IERC20(address(b)));
        a.mint(address(pair), amount0);
        b.mint(address(pair), amount1);
        pair.mint(address(this));
    }
}
