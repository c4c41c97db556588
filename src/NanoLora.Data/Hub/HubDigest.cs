using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace NanoLora.Data;

/// <summary>The hash of a file as the hub names it: SHA-256, or git's SHA-1 of "blob", the length and the bytes.</summary>
internal sealed class HubDigest : IDisposable
{
    private readonly IncrementalHash _hash;

    public HubDigest(HubFile file)
    {
        _hash = IncrementalHash.CreateHash(file.IsLarge ? HashAlgorithmName.SHA256 : HashAlgorithmName.SHA1);
        if (!file.IsLarge) _hash.AppendData(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"blob {file.Size}\0")));
    }

    /// <summary>Whether a file on the disk is the one of the listing.</summary>
    public static bool Matches(string path, HubFile file, CancellationToken cancellation)
    {
        using var stream = File.OpenRead(path);
        if (stream.Length != file.Size) return false;
        using var digest = new HubDigest(file);
        digest.Append(stream, cancellation);
        return digest.End() == file.Hash;
    }

    public void Append(ReadOnlySpan<byte> bytes) => _hash.AppendData(bytes);

    /// <summary>Appends what is left of a stream.</summary>
    public void Append(Stream stream, CancellationToken cancellation)
    {
        var buffer = new byte[1 << 20];
        while (stream.Read(buffer) is var read and > 0)
        {
            cancellation.ThrowIfCancellationRequested();
            _hash.AppendData(buffer, 0, read);
        }
    }

    public string End() => Convert.ToHexStringLower(_hash.GetHashAndReset());

    public void Dispose() => _hash.Dispose();
}
