using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace NanoLora.Data;

/// <summary>
/// Learns a byte-level BPE over lower-cased words (Sennrich et al. 2016): words are bytes at first, and the pair of neighbours that is most frequent becomes a
/// token, again and again. Of equally frequent pairs the one whose tokens are older comes first, so the same texts give the same tokens.
/// </summary>
internal static class BpeTrainer
{
    /// <summary>The token that ends a text; its id is 0.</summary>
    public const string EndToken = "<|endoftext|>";

    private const int Bytes = 256, LeastFrequent = 2;

    /// <summary>Learns a tokenizer.</summary>
    /// <param name="texts">The texts.</param>
    /// <param name="size">The number of tokens, more than the 257 that are there at first; fewer if no pair occurs twice.</param>
    /// <param name="special">Tokens beside them that no text has, such as a mask; their ids come after all others, in this order.</param>
    /// <returns>The bytes of a tokenizer.json as the tokenizers library writes them.</returns>
    public static byte[] Train(IEnumerable<string> texts, int size, params IReadOnlyList<string> special)
    {
        if (size <= Bytes) throw new ArgumentException($"BpeTrainer: {size} tokens; the {Bytes} bytes and the end token are {Bytes + 1}.");
        List<string> tokens = [EndToken, .. Enumerable.Range(0, Bytes).Select(static b => char.ConvertFromUtf32(ByteAlphabet.Character((byte)b)))];
        var merges = new Merging(Words(texts), tokens).Until(size);
        return Json(tokens, merges, special);
    }

    // Each word as the model will see it, and how often it occurs.
    private static Dictionary<string, long> Words(IEnumerable<string> texts)
    {
        var counts = new Dictionary<string, long>(StringComparer.Ordinal);
        Normalizer normalizer = new NormalizerSequence([new UnicodeNormalizer(composes: true, compatibility: true), new LowercaseNormalizer()]);
        var words = new ByteLevelPreTokenizer(addPrefixSpace: true, useRegex: true);
        foreach (var text in texts)
        {
            var pieces = new Pieces(normalizer.Apply(AlignedText.Of(CodePoints.Of(text))));
            words.Apply(pieces);
            foreach (var (start, end) in pieces.Cuts)
            {
                var word = CodePoints.Text(pieces.Text.Points[start..end]);
                counts[word] = counts.GetValueOrDefault(word) + 1;
            }
        }
        return counts;
    }

    // What Words does, in the words of tokenizer.json.
    private static byte[] Json(List<string> tokens, List<(int Left, int Right)> merges, IReadOnlyList<string> special)
    {
        var bytes = new ArrayBufferWriter<byte>();
        using var json = new Utf8JsonWriter(bytes,
            new JsonWriterOptions { Indented = true, IndentSize = 1, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
        json.WriteStartObject();
        json.WriteString("version", "1.0");
        json.WriteNull("truncation");
        json.WriteNull("padding");
        json.WritePropertyName("added_tokens");
        var added = special.Select((token, i) => Added(tokens.Count + i, token)).Prepend(Added(0, EndToken));
        json.WriteRawValue($"[{string.Join(", ", added)}]");
        json.WritePropertyName("normalizer");
        json.WriteRawValue("""{ "type": "Sequence", "normalizers": [{ "type": "NFKC" }, { "type": "Lowercase" }] }""");
        json.WritePropertyName("pre_tokenizer");
        json.WriteRawValue("""{ "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true }""");
        json.WriteNull("post_processor");
        json.WritePropertyName("decoder");
        json.WriteRawValue("""{ "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true }""");
        json.WriteStartObject("model");
        json.WriteString("type", "BPE");
        foreach (var none in (ReadOnlySpan<string>)["dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"]) json.WriteNull(none);
        foreach (var no in (ReadOnlySpan<string>)["fuse_unk", "byte_fallback", "ignore_merges"]) json.WriteBoolean(no, false);
        json.WriteStartObject("vocab");
        for (var id = 0; id < tokens.Count; id++) json.WriteNumber(tokens[id], id);
        json.WriteEndObject();
        json.WriteStartArray("merges");
        foreach (var (left, right) in merges) json.WriteStringValue($"{tokens[left]} {tokens[right]}");
        json.WriteEndArray();
        json.WriteEndObject();
        json.WriteEndObject();
        json.Flush();
        bytes.Write("\n"u8);
        return bytes.WrittenSpan.ToArray();
    }

    private static string Added(int id, string token) => $$"""
        { "id": {{id}}, "content": "{{token}}", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true }
        """;

    // The words as rows of token ids; of each pair of neighbours how often it occurs and in which words. The queue may hold counts that are no longer true:
    // they are looked up when their turn comes.
    private sealed class Merging
    {
        private readonly List<string> _tokens;
        private readonly HashSet<string> _known;
        private readonly List<int>[] _words;
        private readonly long[] _times;
        private readonly Dictionary<(int Left, int Right), long> _counts = [];
        private readonly Dictionary<(int Left, int Right), HashSet<int>> _places = [];
        private readonly PriorityQueue<((int Left, int Right) Pair, long Count), (long, int, int)> _queue = new();
        private readonly HashSet<(int Left, int Right)> _changed = [];

        public Merging(Dictionary<string, long> words, List<string> tokens)
        {
            _tokens = tokens;
            _known = new(tokens, StringComparer.Ordinal);
            string[] all = [.. words.Keys.Order(StringComparer.Ordinal)];
            (_words, _times) = (new List<int>[all.Length], new long[all.Length]);
            for (var w = 0; w < all.Length; w++)
            {
                _words[w] = [.. CodePoints.Of(all[w]).Select(static point => 1 + ByteAlphabet.Byte(point))];
                _times[w] = words[all[w]];
                for (var i = 1; i < _words[w].Count; i++) Count((_words[w][i - 1], _words[w][i]), w, 1);
            }
            OfferChanged();
        }

        public List<(int Left, int Right)> Until(int size)
        {
            var merges = new List<(int, int)>();
            while (_tokens.Count < size && _queue.TryDequeue(out var best, out _))
            {
                if (_counts.GetValueOrDefault(best.Pair) != best.Count) continue;
                if (best.Count < LeastFrequent) break;
                var merged = _tokens[best.Pair.Left] + _tokens[best.Pair.Right];
                if (!_known.Add(merged)) continue;                                     // another pair has made this token: one id for one text
                merges.Add(best.Pair);
                _tokens.Add(merged);
                foreach (var word in _places[best.Pair]) Merge(word, best.Pair, _tokens.Count - 1);
                OfferChanged();
            }
            return merges;
        }

        private void Merge(int word, (int Left, int Right) pair, int id)
        {
            var symbols = _words[word];
            for (var i = 1; i < symbols.Count; i++)
            {
                if (symbols[i - 1] != pair.Left || symbols[i] != pair.Right) continue;
                if (i > 1)
                {
                    Count((symbols[i - 2], pair.Left), word, -1);
                    Count((symbols[i - 2], id), word, 1);
                }
                if (i + 1 < symbols.Count)
                {
                    Count((pair.Right, symbols[i + 1]), word, -1);
                    Count((id, symbols[i + 1]), word, 1);
                }
                symbols[i - 1] = id;
                symbols.RemoveAt(i);
            }
            _counts.Remove(pair);
            _changed.Remove(pair);
        }

        // A word stays among the places of a pair that it has lost: looking there again finds nothing.
        private void Count((int Left, int Right) pair, int word, int sign)
        {
            _counts[pair] = _counts.GetValueOrDefault(pair) + sign * _times[word];
            _changed.Add(pair);
            if (sign < 0) return;
            if (!_places.TryGetValue(pair, out var places)) _places.Add(pair, places = []);
            places.Add(word);
        }

        private void OfferChanged()
        {
            foreach (var pair in _changed)
                if (_counts[pair] is > 0 and var count) _queue.Enqueue((pair, count), (-count, pair.Left, pair.Right));
            _changed.Clear();
        }
    }
}
