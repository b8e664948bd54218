// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

/// @dev The cheat codes these tests use; forge-std is not needed for them.
interface Vm {
    function warp(uint256) external;
    function roll(uint256) external;
    function chainId(uint256) external;
    function prank(address) external;
    function startPrank(address) external;
    function stopPrank() external;
    function deal(address, uint256) external;
    function sign(uint256, bytes32) external pure returns (uint8, bytes32, bytes32);
    function addr(uint256) external pure returns (address);
    function expectRevert() external;
    function expectRevert(bytes4) external;
    function expectRevert(bytes calldata) external;
    function assume(bool) external pure;
    function load(address, bytes32) external view returns (bytes32);
    function store(address, bytes32, bytes32) external;
    function etch(address, bytes calldata) external;
    function getCode(string calldata) external view returns (bytes memory);
    function snapshotState() external returns (uint256);
    function revertToState(uint256) external returns (bool);
}

abstract contract Base {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    uint256 internal constant START = 1_800_000_000;

    event log_named_uint(string key, uint256 value);

    error Unequal(string what, uint256 left, uint256 right);
    error False(string what);

    function eq(uint256 left, uint256 right, string memory what) internal pure {
        if (left != right) revert Unequal(what, left, right);
    }

    function le(uint256 left, uint256 right, string memory what) internal pure {
        if (left > right) revert Unequal(what, left, right);
    }

    function yes(bool ok, string memory what) internal pure {
        if (!ok) revert False(what);
    }

    function bound(uint256 x, uint256 low, uint256 high) internal pure returns (uint256) {
        return low + x % (high - low + 1);
    }

    function sign(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    /// @dev Keys in ascending order of their addresses.
    function sortKeys(uint256[] memory keys) internal pure returns (uint256[] memory) {
        for (uint256 i; i < keys.length; ++i) {
            for (uint256 j; j + 1 < keys.length; ++j) {
                if (vm.addr(keys[j]) > vm.addr(keys[j + 1])) (keys[j], keys[j + 1]) = (keys[j + 1], keys[j]);
            }
        }
        return keys;
    }

    function list(address a) internal pure returns (address[] memory all) {
        all = new address[](1);
        all[0] = a;
    }

    function list(bytes memory a) internal pure returns (bytes[] memory all) {
        all = new bytes[](1);
        all[0] = a;
    }
}
