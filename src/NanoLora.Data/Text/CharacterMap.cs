using System.Buffers.Binary;
using System.Text;

namespace NanoLora.Data;

/// <summary>
/// The character map of a SentencePiece model: what some strings of up to a few characters are replaced by. It comes as a double-array trie over UTF-8,
/// whose values are places in a list of zero-terminated texts. A node is 32 bits: a label in the low byte, whether a value follows in bit 8, and the
/// distance to its children in the rest.
/// </summary>
internal sealed class CharacterMap
{
    private readonly uint[] _nodes;
    private readonly byte[] _texts;
    private readonly Dictionary<int, int[]> _read = [];

    /// <summary>Reads a map; what it says about itself is checked when it is used, as a trie cannot be checked cheaply.</summary>
    /// <exception cref="InvalidDataException">The size of the trie is not that of the bytes.</exception>
    public CharacterMap(ReadOnlySpan<byte> data, string source)
    {
        var size = data.Length >= 4 ? BinaryPrimitives.ReadUInt32LittleEndian(data) : 0;
        if (size == 0 || size % 4 != 0 || size > data.Length - 4)
            throw new InvalidDataException($"{source}: the character map has {data.Length} bytes, its trie as it says {size}; copy the file again.");
        _nodes = new uint[size / 4];
        for (var i = 0; i < _nodes.Length; i++) _nodes[i] = BinaryPrimitives.ReadUInt32LittleEndian(data[(4 + 4 * i)..]);
        _texts = data[(4 + (int)size)..].ToArray();
        // The texts at the places that the trie names, so that looking one up needs no lock.
        foreach (var node in _nodes)
        {
            if ((int)(node & 0x7FFFFFFF) is var at && at < _texts.Length && (at == 0 || _texts[at - 1] == 0) && !_read.ContainsKey(at)) _read[at] = Read(at);
        }
    }

    /// <summary>Looks up what a text begins with.</summary>
    /// <param name="text">Code points.</param>
    /// <param name="longest">Whether the longest string that is in the map counts, or the shortest.</param>
    /// <returns>How many code points it has, and what replaces them; 0 and nothing if there is none.</returns>
    public (int Length, int[] Replacement) Find(ReadOnlySpan<int> text, bool longest)
    {
        (int, int[]) found = (0, []);
        Span<byte> bytes = stackalloc byte[4];
        var at = Children(_nodes[0]);
        for (var i = 0; i < text.Length; i++)
        {
            var length = CodePoints.Utf8(text[i], bytes);
            for (var b = 0; b < length; b++)
            {
                at ^= bytes[b];
                if (bytes[b] == 0 || (uint)at >= (uint)_nodes.Length) return found;
                var node = _nodes[at];
                if ((node & 0x800000FF) != bytes[b]) return found;
                at ^= Children(node);
                if ((node & 0x100) == 0 || b < length - 1) continue;
                if ((uint)at >= (uint)_nodes.Length || !_read.TryGetValue((int)(_nodes[at] & 0x7FFFFFFF), out var replacement)) return found;
                found = (i + 1, replacement);
                if (!longest) return found;
            }
        }
        return found;
    }

    private static int Children(uint node) => (int)((node >> 10) << (int)((node & 0x200) >> 6));

    private int[] Read(int at)
    {
        var end = Array.IndexOf(_texts, (byte)0, at);
        return CodePoints.Of(Encoding.UTF8.GetString(_texts.AsSpan(at..(end < 0 ? _texts.Length : end))));
    }
}
