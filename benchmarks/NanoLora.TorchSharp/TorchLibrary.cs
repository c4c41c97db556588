using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using TorchSharp;

namespace NanoLora.Benchmarks;

/// <summary>Whether TorchSharp's native library loads here.</summary>
internal static partial class TorchLibrary
{
    /// <summary>Null where it does; otherwise the reason and what to do, in one line.</summary>
    public static string? WhyNot()
    {
        // TorchSharp's own message does not tell the linker's: so the library is first loaded by name.
        var (folder, name) = OperatingSystem.IsWindows() ? ("win-x64", "LibTorchSharp.dll")
            : OperatingSystem.IsMacOS() ? ("osx-arm64", "libLibTorchSharp.dylib") : ("linux-x64", "libLibTorchSharp.so");
        var path = Path.Combine(AppContext.BaseDirectory, "runtimes", folder, "native", name);
        try
        {
            if (!OperatingSystem.IsWindows() && File.Exists(path)) NativeLibrary.Load(path);
            torch.set_num_threads(QuickProtocol.Threads);
            return null;
        }
        catch (Exception error)
        {
            var text = error.ToString().ReplaceLineEndings(" ");
            var version = CxxVersion().Match(text);
            var library = version.Value.StartsWith("GLIBC_", StringComparison.Ordinal) ? "glibc" : "libstdc++";
            return version.Success
                ? $"TorchSharp's native library wants {version.Value} of {library}, "
                    + "which is newer than what this system has; run it on a current distribution, such as Debian 13, Ubuntu 24.04 or Fedora 40"
                : $"TorchSharp's native library does not load ({error.GetType().Name}: {error.Message.ReplaceLineEndings(" ")}); "
                    + "there is one for x64 on Linux and Windows, and for Arm64 on macOS";
        }
    }

    [GeneratedRegex(@"(GLIBCXX|CXXABI|GLIBC)_[0-9.]+")]
    private static partial Regex CxxVersion();
}
